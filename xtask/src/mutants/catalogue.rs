//! The catalogue: each planted bug, what it breaks, and the tests that must fail when it bites.
//!
//! Numbers are those of the bug catalogue in the design of the correctness core; what has no code
//! to be planted in yet stands in [`WITHOUT_CODE`] with the reason.

use std::fmt;

/// A planted bug.
pub struct Mutant {
    pub name: &'static str,
    /// What goes wrong when it bites.
    pub breaks: &'static str,
    /// Each of these must fail.
    pub caught_by: &'static [Test],
}

/// A test, by its target and its path there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Test {
    pub target: Target,
    pub path: &'static str,
    pub kind: Kind,
}

/// Where tests live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Domain,
    Store,
    Carrier,
    Delivery,
    Crash,
    Api,
}

/// On what a test runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One test for each engine.
    Engines,
    /// A test without a database, or on an engine of its own choice.
    Plain,
    /// The same, but its choice is PostgreSQL: the bug can only show there.
    Postgres,
}

impl Target {
    pub const ALL: [Self; 6] =
        [Self::Domain, Self::Store, Self::Carrier, Self::Delivery, Self::Crash, Self::Api];

    /// The package, the name of its test target (of the library's own tests where it is the
    /// package's), and the directory of the target's modules.
    pub const fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Domain => ("domain", "domain", "crates/domain/src"),
            Self::Store => ("store", "store", "crates/store/tests/store"),
            Self::Carrier => ("twilio", "carrier", "crates/twilio/tests/carrier"),
            Self::Delivery => ("ledgerline", "delivery", "crates/app/tests/delivery"),
            Self::Crash => ("ledgerline", "crash", "crates/app/tests/crash"),
            Self::Api => ("ledgerline", "api", "crates/app/tests/api"),
        }
    }

    /// Its tests stand in the sources of the library.
    pub const fn is_library(self) -> bool {
        matches!(self, Self::Domain)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, target, _) = self.target.place();
        write!(f, "{target}: {}", self.path)
    }
}

const fn test(target: Target, path: &'static str, kind: Kind) -> Test {
    Test { target, path, kind }
}

const fn domain(path: &'static str) -> Test {
    test(Target::Domain, path, Kind::Plain)
}

const fn carrier(path: &'static str) -> Test {
    test(Target::Carrier, path, Kind::Plain)
}

const fn store(path: &'static str) -> Test {
    test(Target::Store, path, Kind::Engines)
}

const fn delivery(path: &'static str) -> Test {
    test(Target::Delivery, path, Kind::Engines)
}

const fn crash(path: &'static str) -> Test {
    test(Target::Crash, path, Kind::Engines)
}

const fn api(path: &'static str) -> Test {
    test(Target::Api, path, Kind::Engines)
}

const CLASSIFIER: Test = carrier("classifier::every_answer_is_classified");
const MALFORMED: Test =
    carrier("malformed::each_answer_proves_what_it_proves_and_is_asked_for_once");
const TWICE: Test = domain("message::tests::a_fact_told_twice_changes_nothing_more");
const ABSENT: Test =
    delivery("unknowns::a_campaigns_absent_text_is_released_after_its_bound_and_never_sent_again");
const OVERDRAWN: Test = store("wallets::many_hands_on_one_wallet_never_overdraw_it");
const HEARD: Test = delivery("zombies::what_a_process_that_was_taken_over_learns_is_kept");

/// Every planted bug, by its number.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "M1",
        breaks: "a text leaves before the mark that allows it is durable",
        caught_by: &[delivery("marks::nothing_leaves_ahead_of_the_durable_mark")],
    },
    Mutant {
        name: "M2",
        breaks: "the end of a lease puts texts that may have left back into the queue",
        caught_by: &[HEARD, crash("handover::a_takeover_without_trace")],
    },
    Mutant {
        name: "M3",
        breaks: "a text is settled whatever its state",
        caught_by: &[TWICE, domain("message::tests::the_table_of_turns")],
    },
    Mutant {
        name: "M4",
        breaks: "the cursor moves in a transaction of its own, after the claim",
        caught_by: &[crash("sending::a_claim")],
    },
    Mutant {
        name: "M5",
        breaks: "a process whose chunk was taken over may still move the mark",
        caught_by: &[delivery("zombies::a_process_that_was_taken_over_starts_nothing_more")],
    },
    Mutant {
        name: "M6",
        breaks: "what a process learns after its chunk was taken over is thrown away",
        caught_by: &[HEARD],
    },
    Mutant {
        name: "M7",
        breaks: "absence is proven by listings before the time bound",
        caught_by: &[delivery("unknowns::listings_before_the_bound_prove_nothing_however_many")],
    },
    Mutant {
        name: "M8",
        breaks: "absence is proven by one listing",
        caught_by: &[ABSENT, delivery("unknowns::one_listing_or_a_stale_one_proves_nothing")],
    },
    Mutant {
        name: "M9",
        breaks: "evidence counts only for the attempt it speaks of",
        caught_by: &[delivery("unknowns::news_of_an_earlier_attempt_counts")],
    },
    Mutant {
        name: "M10",
        breaks: "an HTTP 5xx is taken for a refusal",
        caught_by: &[CLASSIFIER, MALFORMED],
    },
    Mutant {
        name: "M11",
        breaks: "a time-out is taken for a text that was not sent",
        caught_by: &[
            carrier("classifier::every_failure_is_classified_by_what_was_written"),
            MALFORMED,
        ],
    },
    Mutant {
        name: "M12",
        breaks: "a 201 without a readable SID is taken for an acceptance",
        caught_by: &[CLASSIFIER, MALFORMED],
    },
    Mutant {
        name: "M13",
        breaks: "a proxy's 4xx is taken for the carrier's refusal",
        caught_by: &[CLASSIFIER, MALFORMED],
    },
    Mutant {
        name: "M14",
        breaks: "the HTTP client tries again by itself",
        caught_by: &[MALFORMED, carrier("outcomes::each_knob_yields_its_outcome_and_its_record")],
    },
    Mutant { name: "M15", breaks: "the HTTP client follows redirects", caught_by: &[MALFORMED] },
    Mutant {
        name: "M16",
        breaks: "a 429 is taken for a refusal",
        caught_by: &[CLASSIFIER, MALFORMED],
    },
    Mutant {
        name: "M17",
        breaks: "a takeover forgets the mark",
        caught_by: &[HEARD, crash("handover::a_takeover_without_trace")],
    },
    Mutant {
        name: "M18",
        breaks: "a campaign says paused while texts are on the wire",
        caught_by: &[delivery("control::a_pause_is_shown_only_when_nothing_is_on_the_wire")],
    },
    Mutant {
        name: "M19",
        breaks: "a resume sends again what is still on the wire",
        caught_by: &[delivery("control::a_resume_sends_nothing_again_that_is_on_the_wire")],
    },
    Mutant {
        name: "M20",
        breaks: "a claim does not look at the state of the campaign",
        caught_by: &[delivery("claims::what_is_paused_or_canceled_is_not_claimed")],
    },
    Mutant {
        name: "M21",
        breaks: "opt-outs after sealing are not looked at when texts are claimed",
        caught_by: &[delivery("claims::an_opt_out_after_sealing_is_obeyed_at_the_claim")],
    },
    Mutant {
        name: "M22",
        breaks: "phones are told apart as they were typed, not by their E.164 form",
        caught_by: &[api("contacts::a_phone_is_one_contact")],
    },
    Mutant {
        name: "M23",
        breaks: "idempotency keys are not looked at: a launch clicked twice is two",
        caught_by: &[api("idempotency::the_same_request_gets_the_same_answer")],
    },
    Mutant {
        name: "M24",
        breaks: "an occurrence is known by its instant in UTC, not by the time on its wall",
        caught_by: &[delivery("reminders::a_country_moves_its_clocks_and_nothing_doubles")],
    },
    Mutant {
        name: "M25",
        breaks: "an occurrence whose wall time the clock jumps over is left out",
        caught_by: &[domain("recurrence::tests::clocks_that_are_moved")],
    },
    Mutant {
        name: "M26",
        breaks: "a clock that leaps ahead is believed",
        caught_by: &[delivery("scenarios::b36_a_leap_ahead_makes_nothing_due")],
    },
    Mutant {
        name: "M27",
        breaks: "a receipt overrules a later one",
        caught_by: &[
            domain("message::tests::receipts_in_any_order_end_the_same"),
            delivery("campaigns::receipts_in_disorder_and_twice_change_nothing_more"),
        ],
    },
    Mutant {
        name: "M28",
        breaks: "a receipt is answered with success before it is committed",
        caught_by: &[api("hooks::a_receipt_that_could_not_be_kept_is_asked_for_again")],
    },
    Mutant {
        name: "M29",
        breaks: "a server starts without asking what the carrier knows",
        caught_by: &[api("boot::a_server_asks_its_carrier_before_it_sends")],
    },
    Mutant {
        name: "M30",
        breaks: "SQLite runs with synchronous=normal",
        caught_by: &[test(
            Target::Store,
            "durability::an_embedded_database_syncs_each_commit_to_disk",
            Kind::Plain,
        )],
    },
    Mutant {
        name: "M31",
        breaks: "a PostgreSQL server with synchronous_commit=off is accepted",
        caught_by: &[test(
            Target::Store,
            "durability::a_server_that_forgets_commits_is_refused",
            Kind::Postgres,
        )],
    },
    Mutant {
        name: "M32",
        breaks: "SQLite's write-ahead log is deleted at the start",
        caught_by: &[test(
            Target::Store,
            "durability::what_was_committed_is_found_after_a_kill",
            Kind::Plain,
        )],
    },
    Mutant {
        name: "M33",
        breaks: "the ledger reserves more than is available",
        caught_by: &[domain("ledger::tests::refusals_change_nothing"), OVERDRAWN],
    },
    Mutant {
        name: "M34",
        breaks: "amounts come from the caller's list, not from the texts that turned",
        caught_by: &[
            crash("sending::a_settlement"),
            delivery("campaigns::receipts_in_disorder_and_twice_change_nothing_more"),
        ],
    },
    Mutant {
        name: "M35",
        breaks: "credits are released twice",
        caught_by: &[TWICE, domain("message::tests::money_follows_the_state_for_every_pair")],
    },
    Mutant {
        name: "M36",
        breaks: "a refund takes as many credits as cents went back",
        caught_by: &[api("stripe_events::b21_a_dispute_moves_credits_and_not_cents")],
    },
    Mutant {
        name: "M37",
        breaks: "a dispute that was won gives nothing back",
        caught_by: &[api("stripe_events::b19_a_dispute_that_is_won_leaves_no_trace")],
    },
    Mutant {
        name: "M38",
        breaks: "a lost dispute takes its credits a second time",
        caught_by: &[api("stripe_events::parts_of_a_dispute_are_taken_once")],
    },
    Mutant {
        name: "M39",
        breaks: "coming back from the payment page counts as paying",
        caught_by: &[api("purchases::coming_back_from_the_page_grants_nothing")],
    },
    Mutant {
        name: "M40",
        breaks: "credits are granted once for each event instead of each purchase",
        caught_by: &[api("stripe_events::b18_a_refund_takes_the_credits_back")],
    },
    Mutant {
        name: "M41",
        breaks: "a top-up does not pay the debt first",
        caught_by: &[
            domain("ledger::tests::credits_move_as_their_kind_says"),
            delivery("money::what_is_taken_beyond_the_balance_is_owed_and_paid_first"),
        ],
    },
    Mutant {
        name: "M42",
        breaks: "credits expire although texts on their way hold them",
        caught_by: &[domain("lots::tests::what_is_left_expires_and_nothing_that_is_reserved")],
    },
    Mutant {
        name: "M43",
        breaks: "the same late evidence is charged again",
        caught_by: &[delivery("money::the_same_facts_move_credits_once")],
    },
    Mutant {
        name: "M44",
        breaks: "sums of credits overflow at 32 bits",
        caught_by: &[domain("ledger::tests::sums_are_exact_up_to_the_largest_amounts")],
    },
    Mutant {
        name: "M45",
        breaks: "a text costs what the price list says when it leaves, not what was quoted",
        caught_by: &[delivery("claims::a_list_costs_what_was_quoted_when_it_was_sealed")],
    },
    Mutant {
        name: "M46",
        breaks: "credits that expire begin one credit too late",
        caught_by: &[domain(
            "lots::tests::a_new_lot_stands_behind_the_others_and_before_what_lasts",
        )],
    },
    Mutant {
        name: "M47",
        breaks: "a claim does not look whether the account may send",
        caught_by: &[delivery("claims::a_suspended_account_sends_nothing")],
    },
    Mutant {
        name: "M48",
        breaks: "the wallet is locked before the stream: a deadlock",
        caught_by: &[test(
            Target::Delivery,
            "claims::the_wallet_is_the_last_of_all_locks",
            Kind::Postgres,
        )],
    },
    Mutant {
        name: "M49",
        breaks: "a claim decides that credits are missing without the wallet's lock",
        caught_by: &[test(
            Target::Delivery,
            "claims::credits_that_are_just_arriving_are_waited_for",
            Kind::Postgres,
        )],
    },
    Mutant {
        name: "M50",
        breaks: "the schema lets one effect be posted twice",
        caught_by: &[store("wallets::an_effect_is_posted_once")],
    },
    Mutant {
        name: "M51",
        breaks: "the hash of a ledger line leaves its amounts out",
        caught_by: &[domain("ledger::tests::every_field_changes_the_hash")],
    },
    Mutant {
        name: "M52",
        breaks: "ledger lines are numbered with gaps, as by a sequence",
        caught_by: &[domain("ledger::tests::credits_move_as_their_kind_says"), OVERDRAWN],
    },
    Mutant {
        name: "M53",
        breaks: "a sweep of the carrier's list misses what shows up behind its cursor",
        caught_by: &[delivery("unknowns::a_text_that_shows_late_in_the_list_is_found")],
    },
    Mutant {
        name: "M54",
        breaks: "an audit does not verify the hash chain",
        caught_by: &[delivery("money::the_ledger_cannot_be_changed_and_an_audit_finds_what_was")],
    },
    Mutant {
        name: "M59",
        breaks: "a mark counts as durable although the disk was full",
        caught_by: &[delivery("marks::a_full_disk_stops_sending_and_loses_nothing")],
    },
    Mutant {
        name: "M60",
        breaks: "an idempotency key's answer is kept in another transaction than its effect",
        caught_by: &[api("idempotency::a_request_whose_commit_is_lost_is_done_once")],
    },
];

/// Bugs of the catalogue that cannot be planted, and why.
pub const WITHOUT_CODE: &[(&str, &str)] = &[
    ("M55, M56, M57 (codes: counting, single use, two open)", "there is no verification of codes"),
    (
        "M58 (retry after a failed fsync)",
        "nothing tells a failed sync from another failed commit, and nothing ends the process; a \
         correct version has to exist before it can be broken",
    ),
];
