use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Instant {
    Instant::parse(text).expect("a time")
}

fn active() -> Subscription {
    Subscription {
        plan: "growth".to_owned(),
        state: State::Active,
        source: Source::Stripe,
        stripe_subscription: Some("sub_1".to_owned()),
        period_start: at("2026-11-01T00:00:00Z"),
        period_end: at("2026-12-01T00:00:00Z"),
        cancel_at_period_end: false,
        past_due_since: None,
        version: 1,
    }
}

#[test]
fn what_each_state_entitles_to() {
    let (middle, end) = ("2026-11-15T00:00:00Z", "2026-12-01T00:00:00Z");
    let late = "2026-12-20T00:00:00Z";
    // Growth has seven days of grace.
    let since = Some(at("2026-11-10T00:00:00Z"));
    let cases = [
        (State::Incomplete, false, None, middle, false),
        (State::IncompleteExpired, false, None, middle, false),
        (State::Trialing, false, None, middle, true),
        (State::Trialing, false, None, late, true),
        (State::Trialing, true, None, end, false),
        (State::Active, false, None, middle, true),
        (State::Active, false, None, late, true),
        (State::Active, true, None, "2026-11-30T23:59:59Z", true),
        (State::Active, true, None, end, false),
        (State::PastDue, false, since, "2026-11-10T00:00:00Z", true),
        (State::PastDue, false, since, "2026-11-16T23:59:59Z", true),
        (State::PastDue, false, since, "2026-11-17T00:00:00Z", false),
        (State::Unpaid, false, None, middle, false),
        (State::Canceled, false, None, middle, false),
        (State::Canceled, true, None, middle, true),
        (State::Canceled, true, None, end, false),
        (State::Paused, false, None, middle, false),
    ];
    for (state, cancel_at_period_end, past_due_since, now, wanted) in cases {
        let one = Subscription { state, cancel_at_period_end, past_due_since, ..active() };
        let found = entitlement(Some(&one), at(now));
        assert_eq!(found.sends.is_ok(), wanted, "{state} {cancel_at_period_end} {now}");
        assert_eq!(found.campaigns.is_ok(), wanted, "{state} {now}");
        if let Err(words) = &found.sends {
            assert!(words.contains("Growth"), "{words}");
        }
        assert_eq!((found.senders_max, found.hourly), (Some(3), Some(1000)));
    }
    let covered = |state: &State| cases.iter().any(|case| case.0 == *state);
    assert!(State::ALL.iter().all(covered));
}

#[test]
fn plans_limit_and_who_never_subscribed_may_do_everything() {
    let now = at("2026-11-15T00:00:00Z");
    let free = entitlement(None, now);
    assert_eq!((free.sends, free.campaigns), (Ok(()), Ok(())));
    assert_eq!((free.senders_max, free.hourly), (None, None));
    let starter = Subscription { plan: "starter".to_owned(), ..active() };
    let found = entitlement(Some(&starter), now);
    assert!(found.sends.is_ok() && found.campaigns.is_err_and(|words| words.contains("Starter")));
    let gone = Subscription { plan: "no longer sold".to_owned(), ..active() };
    assert!(entitlement(Some(&gone), now).campaigns.is_ok());
}

#[test]
fn periods_follow_one_another() {
    for (start, end, next) in [
        ("2026-11-15T10:00:00Z", "2026-12-15T10:00:00Z", "2027-01-15T10:00:00Z"),
        ("2026-12-31T10:00:00Z", "2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z"),
        ("2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z", "2027-03-31T10:00:00Z"),
        ("2027-02-28T10:00:00Z", "2027-03-31T10:00:00Z", "2027-04-30T10:00:00Z"),
        ("2027-03-31T10:00:00Z", "2027-04-30T10:00:00Z", "2027-05-31T10:00:00Z"),
        ("2028-01-30T10:00:00Z", "2028-02-29T10:00:00Z", "2028-03-30T10:00:00Z"),
        // A period that an operator made longer sets the day anew.
        ("2026-11-15T10:00:00Z", "2027-02-10T00:00:00Z", "2027-03-10T00:00:00Z"),
    ] {
        let one = Subscription {
            source: Source::Operator,
            period_start: at(start),
            period_end: at(end),
            ..active()
        };
        assert_eq!(one.next_at(), Some(at(end)));
        let after = one.renewed();
        assert_eq!((after.period_start, after.period_end), (at(end), at(next)), "{start}");
        assert_eq!(after.state, State::Active);
    }
    let last = Subscription { cancel_at_period_end: true, ..active() }.renewed();
    assert_eq!(last.state, State::Canceled);
    assert!(entitlement(Some(&last), last.period_end).sends.is_err());
    assert_eq!(active().next_at(), None, "Stripe tells of its own");
}

#[test]
fn an_operators_word_holds_at_once() {
    let now = at("2026-11-15T00:00:00Z");
    let word = |plan: &str, state| Word {
        plan: plan.to_owned(),
        state,
        period_end: None,
        cancel_at_period_end: false,
    };
    let first = given(None, &mut [], &word("growth", State::Active), now);
    assert_eq!((first.period_start, first.period_end), (now, at("2026-12-15T00:00:00Z")));
    let later = at("2026-11-20T00:00:00Z");
    let other = given(Some(&first), &mut [], &word("starter", State::Active), later);
    assert_eq!(other.period_key(), first.period_key(), "the period goes on");
    assert_eq!((other.plan.as_str(), other.period_end), ("starter", first.period_end));
    let over = at("2027-01-20T00:00:00Z");
    let again = given(Some(&first), &mut [], &word("growth", State::Active), over);
    assert_eq!(again.period_start, over);
    let trial = given(None, &mut [], &word("growth", State::Trialing), now);
    assert_eq!(trial.period_end, at("2026-11-29T00:00:00Z"));
    let due = given(Some(&first), &mut [], &word("growth", State::PastDue), later);
    assert_eq!(due.past_due_since, Some(later));
    let still = given(Some(&due), &mut [], &word("growth", State::PastDue), over);
    assert_eq!(still.past_due_since, Some(later), "it is due since it became so");
}

fn news(id: &str, state: State, version: i64) -> News {
    News {
        id: id.to_owned(),
        plan: Some("growth".to_owned()),
        state,
        period_start: Instant(0),
        period_end: Instant(100),
        cancel_at_period_end: false,
        version,
    }
}

fn told(all: &[News]) -> Option<Subscription> {
    let mut heard = Vec::new();
    let mut now = None;
    for one in all {
        if hear(&mut heard, one) {
            now = standing(now.as_ref(), &heard);
        }
    }
    now
}

#[test]
fn the_newest_news_counts() {
    use State as S;
    // News as (subscription, state, version), then what holds.
    type Row = (&'static [(&'static str, State, i64)], &'static str, State);
    let cases: &[Row] = &[
        (&[("a", S::Active, 1)], "a", S::Active),
        (&[("a", S::Active, 2), ("a", S::Incomplete, 1)], "a", S::Active),
        (&[("a", S::Active, 1), ("a", S::PastDue, 1)], "a", S::PastDue),
        (&[("a", S::Canceled, 1), ("a", S::Active, 2)], "a", S::Canceled),
        // Of two, the live one; of two live ones, the newer.
        (&[("a", S::Active, 1), ("b", S::Active, 2)], "b", S::Active),
        (&[("b", S::Active, 2), ("a", S::Canceled, 3)], "b", S::Active),
        (&[("b", S::Incomplete, 5), ("a", S::PastDue, 1)], "a", S::PastDue),
        (&[("b", S::Active, 2), ("b", S::Canceled, 9), ("a", S::Active, 1)], "a", S::Active),
        (&[("b", S::Canceled, 9), ("a", S::Paused, 1)], "a", S::Paused),
    ];
    for (all, id, state) in cases {
        let all: Vec<News> = all.iter().map(|&(id, state, at)| news(id, state, at)).collect();
        for all in [all.clone(), all.into_iter().rev().collect()] {
            let found = told(&all).expect("something");
            assert_eq!((found.stripe_subscription.as_deref(), found.state), (Some(*id), *state));
        }
    }
    let strange = News { plan: None, ..news("x", State::Active, 1) };
    assert_eq!(told(&[strange]), None, "it never named a plan of ours");
}

#[test]
fn an_operators_word_stands_until_the_customer_buys_anew() {
    let mut heard = Vec::new();
    hear(&mut heard, &news("a", State::Active, 1));
    let before = standing(None, &heard);
    let word = Word {
        plan: "scale".to_owned(),
        state: State::Paused,
        period_end: None,
        cancel_at_period_end: false,
    };
    let given = given(before.as_ref(), &mut heard, &word, Instant(10));
    hear(&mut heard, &news("a", State::Active, 20));
    assert_eq!(standing(Some(&given), &heard), Some(given.clone()), "it was known before");
    hear(&mut heard, &news("b", State::Incomplete, 30));
    assert_eq!(standing(Some(&given), &heard), Some(given.clone()), "not bought yet");
    hear(&mut heard, &news("b", State::Active, 31));
    let bought = standing(Some(&given), &heard).expect("one");
    assert_eq!((bought.source, bought.state), (Source::Stripe, State::Active));
}

fn any_news() -> impl Strategy<Value = News> {
    (0usize..3, 0usize..8, 0i64..6, 0i64..3, any::<bool>(), 0usize..3).prop_map(
        |(id, state, version, period, cancel_at_period_end, plan)| News {
            plan: [None, Some("growth"), Some("starter")][plan].map(str::to_owned),
            period_start: Instant(period),
            cancel_at_period_end,
            ..news(["a", "b", "c"][id], State::ALL[state], version)
        },
    )
}

proptest! {
    #[test]
    fn the_same_news_in_any_order_and_twice_makes_the_same_standing(
        first in prop::collection::vec(any_news(), 1..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        // What names no plan is not ours until another piece of news does, so one comes first.
        let named = |id: &str| news(id, State::Active, -1);
        let base = [named("a"), named("b"), named("c")];
        let once: Vec<News> = base.iter().cloned().chain(first.clone()).collect();
        let mut shuffled: Vec<News> = base.to_vec();
        shuffled.extend(order.iter().map(|at| at.get(&first).clone()));
        shuffled.extend(first.iter().rev().cloned());
        prop_assert_eq!(told(&once), told(&shuffled));
    }
}
