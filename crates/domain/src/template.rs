//! Message templates: a text with named holes, filled for one reader.
//!
//! A text is never sent with a hole: what is missing or empty is an error, unless the template
//! gives it a `default`. A template is checked whole when it is parsed, in every branch, so that
//! a campaign does not fail half-way. The language is a small part of Jinja; what is left out and
//! why stands in `tags`, the filters are in `filters`.

mod filters;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::tz::TimeZone;
use minijinja::value::{Object, ObjectRepr, Value};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use thiserror::Error;

use crate::instant::Instant;

/// The longest template, in bytes: a body has at most 1600 units, the rest is placeholders.
pub const SOURCE_BYTES_MAX: usize = 16_384;

/// Instructions that one rendering may take.
const FUEL_MAX: u64 = 20_000;

/// The name a template is kept under in its environment.
const NAME: &str = "message";

/// Where filters find the [`RenderContext`]; no placeholder can be written this way.
const AT: &str = "$at";

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL_MAX));
    let syntax = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters are valid"));
    filters::register(&mut environment);
    environment
});

/// A template, compiled once and rendered any number of times from any thread.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    environment: Environment<'static>,
    placeholders: Arc<[Placeholder]>,
    is_constant: bool,
}

/// A name that the template reads: either a value or a group of names.
#[derive(Debug)]
struct Placeholder {
    /// The last part of the path, such as `city`.
    name: Arc<str>,
    /// The key among the variables, such as `contact.city`.
    path: Arc<str>,
    /// Empty for a value.
    members: Vec<Placeholder>,
}

/// For whom and when a template is rendered.
#[derive(Clone, Debug)]
pub struct RenderContext {
    /// The present, for `relative` and to leave out the present year.
    pub now: Instant,
    /// The zone that dates and times are shown in.
    pub zone: TimeZone,
}

impl Object for RenderContext {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

impl Template {
    /// Compiles `source` and checks all of it.
    ///
    /// ```
    /// let template = domain::template::Template::parse("Hi {{ name | default('there') }}!")?;
    /// assert!(template.variables().contains("name"));
    /// # Ok::<(), domain::template::TemplateError>(())
    /// ```
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(TemplateError::at(source, 0, Problem::TooLong));
        }
        let (tags, tagged) = tags::expressions(source)?;
        let mut names = BTreeMap::new();
        for tag in &tags {
            let problem = |error| TemplateError::at(source, tag.at, Problem::from(error));
            let expression = ENVIRONMENT.compile_expression(tag.expression).map_err(problem)?;
            for name in expression.undeclared_variables(true) {
                names.entry(name).or_insert(tag.at);
            }
        }
        let placeholders = arrange(&names)
            .map_err(|(at, mixed)| TemplateError::at(source, at, Problem::Mixed(mixed)))?;
        for tag in &tags {
            let problem = |error| TemplateError::at(source, tag.at, Problem::from(error));
            try_out(tag.expression, &placeholders).map_err(problem)?;
        }
        let mut environment = ENVIRONMENT.clone();
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| {
            let line = error.line().unwrap_or(1);
            TemplateError { line, column: 1, problem: error.into() }
        })?;
        Ok(Self {
            source: source.into(),
            environment,
            placeholders: placeholders.into(),
            is_constant: !tagged,
        })
    }

    /// What it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names it reads, dotted where they are nested, those with a `default` included.
    pub fn variables(&self) -> BTreeSet<String> {
        fn collect(placeholders: &[Placeholder], into: &mut BTreeSet<String>) {
            for placeholder in placeholders {
                if placeholder.members.is_empty() {
                    into.insert(placeholder.path.as_ref().to_owned());
                }
                collect(&placeholder.members, into);
            }
        }
        let mut names = BTreeSet::new();
        collect(&self.placeholders, &mut names);
        names
    }

    /// Whether every reader gets the source itself: there is no tag in it.
    pub fn is_constant(&self) -> bool {
        self.is_constant
    }

    /// Fills the template. `variables` are keyed as [`Self::variables`] names them; times among
    /// them are RFC 3339. Branches not taken need no variables, and `{% if name %}` may ask
    /// whether there is one.
    pub fn render(
        &self,
        variables: &BTreeMap<String, String>,
        at: &RenderContext,
    ) -> Result<String, RenderError> {
        if self.is_constant {
            return Ok(self.source.as_ref().to_owned());
        }
        let given = |path: &str| variables.get(path).filter(|value| !value.trim().is_empty());
        let holes = Holes::default();
        let mut scope = Scope::fill(&self.placeholders, &holes, &|path| given(path).cloned());
        scope.0.push((AT.into(), Value::from_object(at.clone())));
        let template = self.environment.get_template(NAME).expect("added when it was parsed");
        let rendered = template.render(Value::from_object(scope)).map_err(RenderError::from);
        let mut missing = holes.written();
        if missing.is_empty() && matches!(rendered, Err(RenderError::Failed(_))) {
            // A hole was calculated with: it was never written, but it is the reason.
            missing.extend(self.variables().into_iter().filter(|name| given(name).is_none()));
        }
        if missing.is_empty() { rendered } else { Err(RenderError::Missing(missing)) }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.source).finish()
    }
}

/// Arranges dotted names as a tree. An error is a name that is both a value and a group, and
/// where it is used.
fn arrange(names: &BTreeMap<String, usize>) -> Result<Vec<Placeholder>, (usize, String)> {
    let mut roots: Vec<Placeholder> = Vec::new();
    for (path, &at) in names {
        let mut level = &mut roots;
        let mut end = 0;
        for part in path.split('.') {
            end += part.len() + usize::from(end > 0);
            let known = level.iter().position(|placeholder| *placeholder.name == *part);
            let place = known.unwrap_or(level.len());
            if known.is_none() {
                let (name, path) = (part.into(), path[..end].into());
                level.push(Placeholder { name, path, members: Vec::new() });
            } else if level[place].members.is_empty() {
                // Names come in order, so a value comes before the group of the same name.
                return Err((at, path[..end].to_owned()));
            }
            level = &mut level[place].members;
        }
    }
    Ok(roots)
}

/// Evaluates an expression with every name given and with none, to find in it what only shows
/// when it runs: filters, functions and formats that do not exist.
fn try_out(expression: &str, placeholders: &[Placeholder]) -> Result<(), minijinja::Error> {
    let expression = ENVIRONMENT.compile_expression(expression)?;
    let at = RenderContext { now: Instant::default(), zone: TimeZone::UTC };
    let attempt = |sample: &dyn Fn(&str) -> Option<String>| {
        let mut scope = Scope::fill(placeholders, &Holes::default(), sample);
        scope.0.push((AT.into(), Value::from_object(at.clone())));
        expression.eval(Value::from_object(scope))
    };
    // A time is a sample that every filter can read.
    attempt(&|_| Some("2026-11-21T09:00:00Z".to_owned()))?;
    match attempt(&|_| None) {
        Err(error) if error.kind() != ErrorKind::InvalidOperation => Err(error),
        _ => Ok(()),
    }
}

/// Names and their values: what placeholders are looked up in.
#[derive(Debug)]
struct Scope(Vec<(Arc<str>, Value)>);

impl Scope {
    /// Gives each placeholder its value, or a hole.
    fn fill(
        placeholders: &[Placeholder],
        holes: &Holes,
        value_of: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let filled = placeholders.iter().map(|placeholder| {
            let value = if !placeholder.members.is_empty() {
                Value::from_object(Self::fill(&placeholder.members, holes, value_of))
            } else if let Some(text) = value_of(&placeholder.path) {
                Value::from(text)
            } else {
                Value::from_object(Hole { path: placeholder.path.clone(), holes: holes.clone() })
            };
            (placeholder.name.clone(), value)
        });
        Self(filled.collect())
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.iter().find(|(name, _)| **name == *key).map(|(_, value)| value.clone())
    }
}

/// The paths of the holes that were written into the text.
#[derive(Clone, Debug, Default)]
struct Holes(Arc<Mutex<BTreeSet<Arc<str>>>>);

impl Holes {
    fn note(&self, path: &Arc<str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
    }

    fn written(&self) -> Vec<String> {
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.iter().map(|path| path.as_ref().to_owned()).collect()
    }
}

/// Stands for a value that is missing: false when asked, noted when written.
#[derive(Debug)]
struct Hole {
    path: Arc<str>,
    holes: Holes,
}

impl Object for Hole {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.holes.note(&self.path);
        Ok(())
    }
}

/// Why a template cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct TemplateError {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1: where the tag begins.
    pub column: usize,
    /// What is wrong and how to fix it.
    pub problem: Problem,
}

impl TemplateError {
    /// `problem` with the tag at the byte `at` of `source`.
    fn at(source: &str, at: usize, problem: Problem) -> Self {
        let before = &source[..at];
        let line_at = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_at..].chars().count() + 1,
            problem,
        }
    }
}

/// What is wrong with a template; the message says how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// Longer than [`SOURCE_BYTES_MAX`].
    #[error("the template is too long: shorten it to {SOURCE_BYTES_MAX} bytes")]
    TooLong,
    /// A tag without an end.
    #[error("`{opening}` is never closed: end it with `{closing}`, and close every quote inside")]
    Unclosed {
        /// How the tag begins.
        opening: &'static str,
        /// How it must end.
        closing: &'static str,
    },
    /// A block other than a condition.
    #[error("`{{% {0} %}}` cannot be used: only if, elif, else and endif can")]
    Keyword(String),
    /// A `*` in an expression.
    #[error("`*` cannot be used: write the text out")]
    Multiplication,
    /// Not an expression, or conditions that do not match up.
    #[error("{0}: write {{{{ name }}}} or {{{{ name | filter }}}}, and end every if with endif")]
    Syntax(String),
    /// A filter that does not exist.
    #[error("{0}: use {names}", names = filters::NAMES)]
    UnknownFilter(String),
    /// A name that is a value in one place and a group in another.
    #[error("`{0}` is used alone and with a dot behind it: use one or the other")]
    Mixed(String),
    /// It compiles, but can never be rendered.
    #[error("{0}: use placeholders, filters and conditions only")]
    Unusable(String),
}

impl From<minijinja::Error> for Problem {
    fn from(error: minijinja::Error) -> Self {
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        match error.kind() {
            ErrorKind::SyntaxError | ErrorKind::BadEscape => Self::Syntax(detail),
            ErrorKind::UnknownFilter => Self::UnknownFilter(detail),
            _ => Self::Unusable(detail),
        }
    }
}

/// Why a text was not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// These variables are missing or empty, by name in order.
    #[error("no value for {}: fill it in, or give the placeholder a default", .0.join(", "))]
    Missing(Vec<String>),
    /// A date filter was given something else.
    #[error("{value:?} is not a time: write it like 2026-11-21T09:00:00Z")]
    NotATime {
        /// What it was given.
        value: String,
    },
    /// Anything else, such as a sum of texts and numbers.
    #[error("the template failed: {0}")]
    Failed(String),
}

impl From<minijinja::Error> for RenderError {
    fn from(error: minijinja::Error) -> Self {
        match error.source().and_then(|source| source.downcast_ref::<filters::NotATime>()) {
            Some(filters::NotATime(value)) => Self::NotATime { value: value.clone() },
            None => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
