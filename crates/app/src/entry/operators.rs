//! Who runs the installation: operators by their names, and which movements of credits take two of
//! them.
//!
//! `LEDGERLINE_OPERATOR_KEY` opens the operator's routes to whoever is called `operator`;
//! `LEDGERLINE_OPERATORS` names more people, each with a key. The ledger and the audit notes name
//! them.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::settings::{SettingError, Settings};
use crate::flow::accounts::digest;

/// What the holder of `LEDGERLINE_OPERATOR_KEY` is called.
pub const OPERATOR: &str = "operator";

const OPERATORS: &str = "LEDGERLINE_OPERATORS";
const TWO_PERSON_ABOVE: &str = "LEDGERLINE_TWO_PERSON_ABOVE";
const KEY_CHARS_MIN: usize = 8;
const NAME_CHARS_MAX: usize = 40;

/// Operators beside the one whose key has a setting of its own.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    /// `LEDGERLINE_OPERATORS`: names and keys.
    pub named: Vec<(String, SecretString)>,
    /// `LEDGERLINE_TWO_PERSON_ABOVE`: an operator's movement of more credits than that waits for
    /// another operator's word; `None` when one is enough for any.
    pub two_person_above: Option<i64>,
}

fn bad(name: &str, problem: impl Into<String>) -> SettingError {
    SettingError { name: name.to_owned(), problem: problem.into() }
}

impl Operators {
    /// Reads both settings as they are written: `NAME:KEY,NAME:KEY` and a number.
    pub fn read(
        named: Option<&str>,
        two_person_above: Option<&str>,
        operator_key: Option<&str>,
    ) -> Result<Self, SettingError> {
        let mut keys: Vec<&str> = operator_key.into_iter().collect();
        let mut operators = Self::default();
        for part in named.unwrap_or_default().split(',').map(str::trim) {
            if part.is_empty() {
                continue;
            }
            let (name, key) = part
                .split_once(':')
                .map(|(name, key)| (name.trim(), key.trim()))
                .ok_or_else(|| bad(OPERATORS, "write NAME:KEY,NAME:KEY"))?;
            check_name(name)?;
            if name == OPERATOR || operators.named.iter().any(|(known, _)| known == name) {
                return Err(bad(OPERATORS, format!("there are two operators called {name}")));
            }
            if key.len() < KEY_CHARS_MIN {
                let words = format!("the key of {name} needs at least {KEY_CHARS_MIN} characters");
                return Err(bad(OPERATORS, words));
            }
            if keys.contains(&key) {
                let words = format!("{name} has the key of somebody else; give each their own");
                return Err(bad(OPERATORS, words));
            }
            keys.push(key);
            operators.named.push((name.to_owned(), key.to_owned().into()));
        }
        let Some(limit) = two_person_above else { return Ok(operators) };
        let limit = limit.trim().parse().ok().filter(|limit| *limit >= 0);
        let words = "write a whole number of credits from 0 up";
        operators.two_person_above = Some(limit.ok_or_else(|| bad(TWO_PERSON_ABOVE, words))?);
        if keys.len() < 2 {
            let words = "nobody could agree: name a second operator in LEDGERLINE_OPERATORS";
            return Err(bad(TWO_PERSON_ABOVE, words));
        }
        Ok(operators)
    }

    /// Whether there is an operator of this name.
    pub fn knows(&self, name: &str) -> bool {
        name == OPERATOR || self.named.iter().any(|(known, _)| known == name)
    }
}

fn check_name(name: &str) -> Result<(), SettingError> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_' | '@');
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(fits) {
        let words = format!("{name:?} is no name of at most {NAME_CHARS_MAX} letters");
        return Err(bad(OPERATORS, words));
    }
    Ok(())
}

impl Settings {
    /// The operator whose key this is; every key is compared, each in constant time.
    pub fn operator_of(&self, presented: &str) -> Option<&str> {
        let presented = digest(presented);
        let is =
            |key: &SecretString| -> bool { digest(key.expose_secret()).ct_eq(&presented).into() };
        let mut found = self.operator_key.as_ref().filter(|key| is(key)).map(|_| OPERATOR);
        for (name, key) in &self.operators.named {
            if is(key) {
                found = found.or(Some(name));
            }
        }
        found
    }

    /// Somebody may use the operator's routes.
    pub fn has_operators(&self) -> bool {
        self.operator_key.is_some() || !self.operators.named.is_empty()
    }

    /// A secret of the operators that stands in no database.
    pub fn operators_secret(&self) -> &str {
        let named = || self.operators.named.first().map(|(_, key)| key);
        let key = self.operator_key.as_ref().or_else(named);
        key.map(ExposeSecret::expose_secret).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_named_and_bad_names_are_told() {
        let main = Some("operator-key");
        let read = |named: &str, above: Option<&str>| Operators::read(Some(named), above, main);
        let both = read(" ana:key-of-ana , ben:key:of:ben,", Some("5000")).expect("reads");
        assert!(both.knows("ana") && both.knows("ben") && both.knows(OPERATOR));
        assert!(!both.knows("Ana"));
        assert_eq!(both.named[1].1.expose_secret(), "key:of:ben");
        assert_eq!(both.two_person_above, Some(5000));
        assert!(read("", None).expect("reads").named.is_empty());
        for (named, above, setting) in [
            ("ana", None, OPERATORS),
            ("ana:short", None, OPERATORS),
            (":key-of-ana", None, OPERATORS),
            ("a/b:key-of-ana", None, OPERATORS),
            ("operator:key-of-ana", None, OPERATORS),
            ("ana:key-of-ana,ana:another-key", None, OPERATORS),
            ("ana:same-key,ben:same-key", None, OPERATORS),
            ("ana:operator-key", None, OPERATORS),
            ("ana:key-of-ana", Some("-1"), TWO_PERSON_ABOVE),
            ("ana:key-of-ana", Some("many"), TWO_PERSON_ABOVE),
            ("", Some("5"), TWO_PERSON_ABOVE),
        ] {
            let error = read(named, above).expect_err(named);
            assert_eq!(error.name, setting, "{named} {error}");
        }
        assert!(Operators::read(Some("ana:key-of-ana"), Some("5"), None).is_err());
    }

    #[test]
    fn keys_open_for_who_holds_them() {
        let mut settings = Settings::private(std::path::Path::new("/nowhere"));
        assert!(!settings.has_operators() && settings.operator_of("").is_none());
        settings.operators = Operators::read(Some("ana:key-of-ana"), None, None).expect("reads");
        assert!(settings.has_operators() && settings.operators_secret() == "key-of-ana");
        assert_eq!(settings.operator_of("key-of-ana"), Some("ana"));
        assert_eq!(settings.operator_of("key-of-anb"), None);
        settings.operator_key = Some("operator-key".to_owned().into());
        assert_eq!(settings.operator_of("operator-key"), Some(OPERATOR));
        assert_eq!(settings.operators_secret(), "operator-key");
    }
}
