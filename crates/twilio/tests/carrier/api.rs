//! Holds requests and answers against the published facts of the Messages API, as
//! `data/messages_api.json` has them.

use std::collections::BTreeMap;

use domain::instant::Instant;
use serde::Deserialize;
use serde_json::Value;

use crate::peer::Heard;

type Rules = BTreeMap<String, Rule>;

/// The facts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    #[serde(rename = "about")]
    _about: String,
    #[serde(rename = "source")]
    _source: String,
    calls: Vec<Call>,
    path: Rules,
    message: Rules,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    method: String,
    path: String,
    answer: u16,
    #[serde(default)]
    one_of: Vec<Vec<String>>,
    #[serde(default)]
    query: Rules,
    #[serde(default)]
    form: Rules,
}

/// What a value must be, and how a parameter may stand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    is: Is,
    chars_min: Option<usize>,
    chars_max: Option<usize>,
    min: Option<i64>,
    max: Option<i64>,
    #[serde(default)]
    prefix: Vec<String>,
    #[serde(default)]
    of: Vec<String>,
    #[serde(default)]
    required: bool,
    #[serde(default = "once")]
    times_max: usize,
    #[serde(default)]
    any_times: bool,
    #[serde(default)]
    needs: Vec<String>,
}

const fn once() -> usize {
    1
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Is {
    /// `+` and up to 15 digits, or a channel and what it calls an address.
    Address,
    /// From `chars_min` to `chars_max` characters.
    Text,
    /// One of `prefix`, and 32 hex digits.
    Sid,
    /// One of `of`.
    Word,
    /// From `min` to `max`.
    Integer,
    Boolean,
    Number,
    Digits,
    /// An address of the web.
    Url,
    /// The same, of a host without underscores.
    Callback,
    /// RFC 3339.
    Time,
    /// `YYYY-MM-DD`, or RFC 3339.
    Date,
    /// RFC 2822, in GMT.
    MailDate,
    JsonObject,
}

impl Rule {
    fn admits(&self, text: &str) -> bool {
        match self.is {
            Is::Address => is_address(text),
            Is::Text => {
                let chars = text.chars().count();
                chars >= self.chars_min.unwrap_or(0)
                    && chars <= self.chars_max.unwrap_or(usize::MAX)
            }
            Is::Sid => self.prefix.iter().any(|prefix| {
                text.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                    rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
            }),
            Is::Word => self.of.iter().any(|word| word == text),
            Is::Integer => text.parse::<i64>().is_ok_and(|number| {
                number >= self.min.unwrap_or(i64::MIN) && number <= self.max.unwrap_or(i64::MAX)
            }),
            Is::Boolean => matches!(text, "true" | "false"),
            Is::Number => text.parse::<f64>().is_ok(),
            Is::Digits => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
            Is::Url => is_url(text),
            Is::Callback => {
                is_url(text) && text.split('/').nth(2).is_some_and(|host| !host.contains('_'))
            }
            Is::Time => Instant::parse(text).is_some(),
            Is::Date => Instant::parse(text).is_some() || is_day(text),
            Is::MailDate => text.ends_with(" +0000") && jiff::fmt::rfc2822::parse(text).is_ok(),
            Is::JsonObject => matches!(serde_json::from_str(text), Ok(Value::Object(_))),
        }
    }

    /// The same for a value of an answer.
    fn admits_json(&self, value: &Value) -> bool {
        match (self.is, value) {
            (Is::Integer, Value::Number(number)) => self.admits(&number.to_string()),
            (Is::JsonObject, Value::Object(_)) => true,
            (Is::Integer | Is::JsonObject, _) => false,
            (_, Value::String(text)) => self.admits(text),
            _ => false,
        }
    }
}

fn is_address(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix('+') {
        let first = matches!(digits.bytes().next(), Some(b'1'..=b'9'));
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        return first && all && (2..=15).contains(&digits.len());
    }
    text.split_once(':').is_some_and(|(channel, rest)| {
        let named = !channel.is_empty() && channel.bytes().all(|byte| byte.is_ascii_lowercase());
        named && !rest.is_empty()
    })
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.starts_with(['/', '?', '#']) && !rest.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

impl Api {
    /// Reads the facts.
    pub fn new() -> Self {
        serde_json::from_str(include_str!("../../data/messages_api.json")).expect("facts")
    }

    /// The call that a request is, or everything that is wrong with it.
    pub fn call_of(&self, request: &Heard) -> Result<&str, Vec<String>> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let call = self
            .calls
            .iter()
            .find(|call| call.method == request.method && self.matches(&call.path, path));
        let Some(call) = call else {
            return Err(vec![format!("no such call: {} {path}", request.method)]);
        };
        let query: Vec<(String, String)> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let form = request.form();
        let mut faults = faults_of(&query, &call.query);
        faults.extend(faults_of(&form, &call.form));
        for any in &call.one_of {
            if !form.iter().any(|(name, _)| any.contains(name)) {
                faults.push(format!("none of {any:?}"));
            }
        }
        let has_form = !call.form.is_empty();
        let kind = request.header("content-type").unwrap_or_default();
        if has_form && !kind.starts_with("application/x-www-form-urlencoded") {
            faults.push(format!("a form of type {kind:?}"));
        }
        if !request.header("authorization").is_some_and(|value| value.starts_with("Basic ")) {
            faults.push("no Basic credentials".to_owned());
        }
        if faults.is_empty() { Ok(&call.name) } else { Err(faults) }
    }

    /// The status with which a call succeeds.
    pub fn success(&self, name: &str) -> u16 {
        self.calls.iter().find(|call| call.name == name).expect("a call").answer
    }

    /// Everything that is wrong with a message in an answer. Every field may be null.
    pub fn message_faults(&self, message: &Value) -> Vec<String> {
        let Some(fields) = message.as_object() else { return vec!["no object".to_owned()] };
        let unknown = fields.keys().filter(|name| !self.message.contains_key(*name));
        let mut faults: Vec<String> = unknown.map(|name| format!("unknown: {name}")).collect();
        for (name, rule) in &self.message {
            match fields.get(name) {
                None => faults.push(format!("missing: {name}")),
                Some(Value::Null) => {}
                Some(value) if rule.admits_json(value) => {}
                Some(value) => faults.push(format!("{name}: {value}")),
            }
        }
        faults
    }

    /// Whether a path is of this pattern, its variables well-formed.
    fn matches(&self, pattern: &str, path: &str) -> bool {
        let (mut wanted, mut parts) = (pattern.split('/'), path.split('/'));
        loop {
            match (wanted.next(), parts.next()) {
                (None, None) => return true,
                (Some(wanted), Some(part)) if self.part_matches(wanted, part) => {}
                _ => return false,
            }
        }
    }

    fn part_matches(&self, wanted: &str, part: &str) -> bool {
        let Some((name, suffix)) = wanted.strip_prefix('{').and_then(|it| it.split_once('}'))
        else {
            return wanted == part;
        };
        part.strip_suffix(suffix).is_some_and(|value| self.path[name].admits(value))
    }
}

/// What is wrong with these parameters: unknown, too often, missing, of the wrong form.
fn faults_of(pairs: &[(String, String)], rules: &Rules) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, value) in pairs {
        match rules.get(name) {
            None => faults.push(format!("unknown: {name}")),
            Some(rule) if !rule.admits(value) => faults.push(format!("{name}: {value:?}")),
            Some(_) => {}
        }
    }
    let count = |name: &str| pairs.iter().filter(|(key, _)| key == name).count();
    for (name, rule) in rules {
        let times = count(name);
        if times > rule.times_max && !rule.any_times {
            faults.push(format!("{name}: {times} times"));
        }
        if rule.required && times == 0 {
            faults.push(format!("missing: {name}"));
        }
        for needed in &rule.needs {
            if times > 0 && count(needed) == 0 {
                faults.push(format!("{name} without {needed}"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef";

    fn request(method: &str, target: &str, body: &str) -> Heard {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", "Basic eDp5"),
        ];
        Heard {
            method: method.to_owned(),
            target: format!("{ACCOUNT}{target}"),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn whatever_the_api_does_not_know_is_found() {
        let api = Api::new();
        let sid = "/Messages/SM0123456789abcdef0123456789abcdef.json";
        let to = "To=%2B15105550123&From=%2B15005550006&Body=x";
        #[rustfmt::skip]
        let cases = [
            ("POST", "/Messages.json", to, "create"),
            ("POST", "/Messages.json", &format!("{to}&Bdoy=x"), "unknown: Bdoy"),
            ("POST", "/Messages.json", &format!("{to}&Body=y"), "Body: 2 times"),
            ("POST", "/Messages.json", &format!("{to}&ValidityPeriod=0"), "ValidityPeriod: \"0\""),
            ("POST", "/Messages.json", &format!("{to}&ValidityPeriod=36001"),
                "ValidityPeriod: \"36001\""),
            ("POST", "/Messages.json", &format!("{to}&SmartEncoded=yes"), "SmartEncoded: \"yes\""),
            ("POST", "/Messages.json", &format!("{to}&ScheduleType=fixed"),
                "ScheduleType without SendAt; ScheduleType without MessagingServiceSid"),
            ("POST", "/Messages.json", &format!("{to}&StatusCallback=x"), "StatusCallback: \"x\""),
            ("POST", "/Messages.json", &format!("{to}&StatusCallback=https://a_b/"),
                "StatusCallback: \"https://a_b/\""),
            ("POST", "/Messages.json", &format!("{to}&ContentVariables={{}}"),
                "ContentVariables without ContentSid"),
            ("POST", "/Messages.json", &to.replace("%2B15105550123", "0151"), "To: \"0151\""),
            ("POST", "/Messages.json", "To=%2B15105550123&Body=x",
                "none of [\"From\", \"MessagingServiceSid\"]"),
            ("POST", "/Messages.json", "From=x&Body=x", "missing: To"),
            ("POST", "/Messages.json?To=x", to, "unknown: To"),
            ("POST", "/messages.json", to, "no such call"),
            ("PUT", "/Messages.json", to, "no such call"),
            ("GET", "/Messages.json", "", "list"),
            ("GET", "/Messages.json?DateSent%3E=2026-11-20&PageSize=1000", "", "list"),
            ("GET", "/Messages.json?DateSent%3E%3D=2026-11-20", "", "unknown: DateSent>="),
            ("GET", "/Messages.json?PageSize=1001", "", "PageSize: \"1001\""),
            ("GET", "/Messages.json?Status=sent", "", "unknown: Status"),
            ("GET", "/Messages.json?Page=1", "", "Page without PageToken"),
            ("GET", sid, "", "fetch"),
            ("GET", "/Messages/SM1.json", "", "no such call"),
            ("POST", sid, "Body=", "update"),
            ("POST", sid, "Status=canceled", "update"),
            ("POST", sid, "Status=cancelled", "Status: \"cancelled\""),
            ("POST", sid, "Body=new", "Body: \"new\""),
            ("POST", sid, "", "none of [\"Body\", \"Status\"]"),
            ("DELETE", sid, "", "delete"),
            ("DELETE", sid, "Body=x", "unknown: Body"),
        ];
        for (method, target, body, expected) in cases {
            match api.call_of(&request(method, target, body)) {
                Ok(call) => assert_eq!(call, expected, "{method} {target} {body}"),
                Err(faults) => {
                    let faults = faults.join("; ");
                    assert!(faults.starts_with(expected), "{method} {target} {body}: {faults}");
                }
            }
        }
    }

    #[test]
    fn credentials_and_types_are_looked_at() {
        let api = Api::new();
        let mut bare = request("POST", "/Messages.json", "To=%2B15105550123&From=x&Body=x");
        assert_eq!(api.call_of(&bare), Ok("create"));
        bare.headers.clear();
        assert_eq!(api.call_of(&bare).map_err(|faults| faults.len()), Err(2));
    }

    #[test]
    fn a_message_of_another_shape_is_found() {
        let api = Api::new();
        let whole = api.message.keys().map(|name| (name.clone(), Value::Null)).collect();
        let whole = Value::Object(whole);
        assert_eq!(api.message_faults(&whole), Vec::<String>::new());
        for (name, value) in [
            ("num_segments", Value::from(1)),
            ("error_code", Value::from("30003")),
            ("date_created", Value::from("2026-11-21T09:00:00Z")),
            ("date_created", Value::from("Sat, 21 Nov 2026 10:00:00 +0100")),
            ("status", Value::from("gone")),
            ("sid", Value::from("SM1")),
            ("shiny", Value::Null),
        ] {
            let mut odd = whole.clone();
            odd[name] = value;
            assert_eq!(api.message_faults(&odd).len(), 1, "{name}");
        }
        assert_eq!(api.message_faults(&Value::Null).len(), 1);
    }
}
