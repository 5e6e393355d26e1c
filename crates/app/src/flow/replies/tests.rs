//! The table of what a reply does to the requests of its phone.

use domain::ids::{AppointmentId, AttendeeId, RequestId};

use store::requests::RequestState;

use super::*;

/// Minutes from the present of these tables.
fn minutes(n: i64) -> Instant {
    Instant(1_784_134_800_000_000 + n * 60_000_000)
}

const DAY: i64 = 24 * 60;

/// A request: its token, its state, and in how many minutes its booking starts and it expires.
fn request(token: i64, state: RequestState, starts: i64, expires: i64) -> Request {
    let id = [u8::try_from(token % 251).expect("below 251"); 16];
    Request {
        id: RequestId(id),
        appointment: AppointmentId(id),
        attendee: AttendeeId(id),
        phone: "+13125550147".to_owned(),
        token,
        starts_at: minutes(starts),
        state,
        // The higher the token, the later it was asked.
        asked_at: minutes(token - 10_000),
        expires_at: minutes(expires),
        answered_at: None,
        answered_by: None,
    }
}

fn told(body: &str, requests: &[Request]) -> String {
    let mut all = requests.to_vec();
    all.sort_by_key(|one| std::cmp::Reverse(one.asked_at));
    match decide(&replies::parse(body, None), &all, minutes(0)) {
        Step::Answer { request, yes, changes } => {
            let verb = if changes { "change" } else { "answer" };
            format!("{verb} {} {}", request.token, if yes { "yes" } else { "no" })
        }
        Step::Same(request) => format!("same {}", request.token),
        Step::Late { request, yes } => {
            format!("late {} {}", request.token, if yes { "yes" } else { "no" })
        }
        Step::Unclear(list) => {
            let tokens: Vec<String> = list.iter().map(|one| one.token.to_string()).collect();
            format!("unclear {}", tokens.join(" "))
        }
        Step::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn what_a_reply_does() {
    use RequestState::{Expired, No, Pending, Resolved, Yes};
    let soon = |token, state| request(token, state, DAY, DAY);
    let begun = |token, state| request(token, state, -10, -10);
    let long_ago = |token, state| request(token, state, -2 * DAY, -2 * DAY);
    let ran_out = |token, state| request(token, state, DAY, -10);
    let one = [soon(101, Pending)];
    let two = [soon(101, Pending), soon(102, Pending)];
    let cases: &[(&[Request], &str, &str)] = &[
        // Nothing was asked.
        (&[], "Y", "nothing"),
        (&[], "thanks", "nothing"),
        (&[], "Y101", "nothing"),
        // Exactly one open request takes a bare reply.
        (&one, "Y", "answer 101 yes"),
        (&one, "no", "answer 101 no"),
        (&one, "👍", "answer 101 yes"),
        (&one, "Y101", "answer 101 yes"),
        (&one, "N 101", "answer 101 no"),
        (&one, "Y999", "unclear 101"),
        (&one, "101", "unclear 101"),
        (&one, "can I bring a friend?", "unclear 101"),
        (&one, "🎉", "unclear 101"),
        (&one, "", "unclear 101"),
        // Of several it must be named.
        (&two, "Y", "unclear 102 101"),
        (&two, "Y101", "answer 101 yes"),
        (&two, "n102", "answer 102 no"),
        (&two, "Y103", "unclear 102 101"),
        // The same again.
        (&[soon(101, Yes)], "Y", "same 101"),
        (&[soon(101, No)], "N", "same 101"),
        (&[soon(101, Yes)], "Y101", "same 101"),
        (&[begun(101, Yes)], "Y", "same 101"),
        (&[long_ago(101, Yes)], "Y", "nothing"),
        // Contradicted in time, and too late.
        (&[soon(101, Yes)], "N", "change 101 no"),
        (&[soon(101, No)], "Y", "change 101 yes"),
        (&[soon(101, Yes)], "maybe", "nothing"),
        (&[begun(101, Yes)], "N", "late 101 no"),
        (&[ran_out(101, Yes)], "N", "late 101 no"),
        // Late.
        (&[soon(101, Expired)], "Y", "late 101 yes"),
        (&[begun(101, Pending)], "N", "late 101 no"),
        (&[ran_out(101, Pending)], "Y", "late 101 yes"),
        (&[begun(101, Expired)], "Y101", "late 101 yes"),
        (&[long_ago(101, Expired)], "Y", "nothing"),
        (&[begun(101, Pending)], "on my way", "nothing"),
        // Moved or cancelled.
        (&[soon(101, Resolved)], "Y", "late 101 yes"),
        (&[soon(101, Resolved), soon(102, Pending)], "Y", "answer 102 yes"),
        (&[soon(101, Resolved), soon(102, Pending)], "Y101", "late 101 yes"),
        // One is answered, one is open.
        (&[soon(101, Yes), soon(102, Pending)], "N", "answer 102 no"),
        (&[soon(101, Yes), soon(102, Pending)], "N101", "change 101 no"),
        (&[soon(101, Yes), soon(102, Pending)], "Y101", "same 101"),
        (&[begun(101, Pending), soon(102, Pending)], "Y", "answer 102 yes"),
        // Both are answered.
        (&[soon(101, Yes), soon(102, Yes)], "Y", "same 102"),
        (&[soon(101, Yes), soon(102, Yes)], "N", "unclear 102 101"),
        (&[soon(101, Yes), soon(102, No)], "Y", "unclear 102 101"),
        (&[soon(101, Yes), soon(102, Yes)], "N101", "change 101 no"),
        (&[soon(101, Yes), begun(102, Yes)], "N", "change 101 no"),
        (&[soon(101, Yes), soon(102, Expired)], "N", "change 101 no"),
    ];
    for (requests, body, expected) in cases {
        let known: Vec<_> = requests.iter().map(|one| (one.token, one.state)).collect();
        assert_eq!(told(body, requests), *expected, "{body:?} with {known:?}");
    }
}

#[test]
fn the_sentence_of_a_choice_can_be_read_in_each_language() {
    for (language, source) in CHOICE {
        let template = Template::parse(source).expect(language);
        let values = BTreeMap::from([
            ("yes".to_owned(), "Y101".to_owned()),
            ("no".to_owned(), "N101".to_owned()),
            ("title".to_owned(), "Massage".to_owned()),
            ("starts_at".to_owned(), minutes(0).to_string()),
        ]);
        let context = RenderContext { now: minutes(0), zone: TimeZone::UTC };
        let words = template.render(&values, &context).expect(language);
        let said = ["Y101", "N101", "Massage"].iter().all(|part| words.contains(part));
        assert!(said, "{words}");
    }
}
