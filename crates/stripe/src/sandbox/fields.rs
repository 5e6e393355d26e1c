//! Forms as Stripe reads them: `line_items[0][price_data][currency]`. What nobody reads is refused,
//! as there: a misspelt parameter must not pass in silence.

use std::collections::BTreeMap;

use super::refusal::Refusal;

/// The fields of a form that were not read yet.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads a form or a query.
    pub fn parse(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    /// A text that may be absent or empty.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &str) -> Result<String, Refusal> {
        self.take(name).ok_or_else(|| Refusal::missing(name))
    }

    /// A whole number that may be absent.
    pub fn take_number(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let message = format!("Invalid integer: {text}");
        let number = text.parse();
        number.map(Some).map_err(|_| Refusal::invalid("parameter_invalid_integer", name, &message))
    }

    /// A whole number that must be there.
    pub fn number(&mut self, name: &str) -> Result<i64, Refusal> {
        self.take_number(name)?.ok_or_else(|| Refusal::missing(name))
    }

    /// Yes or no, if it is said.
    pub fn take_flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let message = format!("Invalid boolean: {text}");
        let flag = text.parse();
        flag.map(Some).map_err(|_| Refusal::invalid("parameter_invalid_boolean", name, &message))
    }

    /// Names and values below a name; Stripe takes 50 at most.
    pub fn take_map(&mut self, name: &str) -> Result<BTreeMap<String, String>, Refusal> {
        const KEYS_MAX: usize = 50;
        let prefix = format!("{name}[");
        let is_below = |key: &str| {
            let rest = key.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(']'));
            rest.filter(|key| !key.is_empty() && !key.contains(['[', ']'])).map(str::to_owned)
        };
        let found: Vec<(String, String)> =
            self.0.keys().filter_map(|key| Some((key.clone(), is_below(key)?))).collect();
        if found.len() > KEYS_MAX {
            return Err(Refusal::invalid("parameter_invalid", name, "Too many keys: 50 at most."));
        }
        let take = |(full, key): (String, String)| Some((key, self.0.remove(&full)?));
        Ok(found.into_iter().filter_map(take).collect())
    }

    /// Whether anything stands at or below a name.
    pub fn has(&self, name: &str) -> bool {
        let prefix = format!("{name}[");
        self.0.keys().any(|key| key == name || key.starts_with(&prefix))
    }

    /// Refuses what was not read.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.0.into_keys().next() {
            Some(name) => {
                let message = format!("Received unknown parameter: {name}");
                Err(Refusal::invalid("parameter_unknown", &name, &message))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_to_its_last_field() {
        let form = b"a=1&b[x]=y&b[z]=&c[0][d]=true&e=&b[x][y]=no";
        let mut fields = Fields::parse(form);
        assert_eq!(fields.number("a").expect("a number"), 1);
        assert_eq!(fields.take("a"), None, "it is read once");
        let map = fields.take_map("b").expect("few");
        let pairs: Vec<_> = map.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(pairs, [("x", "y"), ("z", "")]);
        assert!(fields.has("c[0]") && fields.has("c") && !fields.has("c[1]"));
        assert_eq!(fields.take_flag("c[0][d]").expect("a flag"), Some(true));
        assert_eq!(fields.take("e"), None, "empty is absent");
        let refusal = fields.finish().expect_err("one is left");
        assert_eq!(refusal.body["error"]["param"], "b[x][y]");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let code = |refusal: Refusal| refusal.body["error"]["code"].as_str().map(str::to_owned);
        let mut fields = Fields::parse(b"a=1.5&b=yes");
        let error = fields.number("a").expect_err("no integer");
        assert_eq!(code(error).as_deref(), Some("parameter_invalid_integer"));
        let error = fields.take_flag("b").expect_err("no flag");
        assert_eq!(code(error).as_deref(), Some("parameter_invalid_boolean"));
        let error = fields.text("c").expect_err("absent");
        assert_eq!(code(error).as_deref(), Some("parameter_missing"));
        let many = (0..51).map(|n| format!("m[{n}]=x")).collect::<Vec<_>>().join("&");
        assert!(Fields::parse(many.as_bytes()).take_map("m").is_err());
    }
}
