//! A batch of rows for one statement.
//!
//! The statement names the batch `{rows}` and its columns `r.<name>`. PostgreSQL gets one array
//! per column and `unnest`; SQLite gets one JSON text and `json_each`, because it has no arrays.
//!
//! `{join message as m on m.account_id = $1 and m.ord = r.ord}` finds at most one row of a table
//! for each row of the batch, by its whole key; `{lock …}` locks it as well, `{each …}` finds all
//! rows that share the key. PostgreSQL gets a
//! lateral look-up, which leaves its planner no choice: from a plain join it would read all rows
//! of an account and compare each with the batch, as long as it has no statistics. SQLite gets a
//! cross join, the one it does not turn around, and needs no row locks.

use std::fmt::Write as _;

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use super::Engine;

enum Column {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// Columns of equal length.
#[derive(Default)]
pub struct Rows {
    names: Vec<&'static str>,
    columns: Vec<Column>,
    len: usize,
}

impl Rows {
    /// A batch of `len` rows without columns yet.
    pub fn of(len: usize) -> Self {
        Self { names: Vec::new(), columns: Vec::new(), len }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a column of numbers.
    #[must_use]
    pub fn int<T: Into<Option<i64>>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        self.with(name, Column::Int(values.into_iter().map(Into::into).collect()))
    }

    /// Adds a column of texts.
    #[must_use]
    pub fn text<T: Into<Option<String>>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        self.with(name, Column::Text(values.into_iter().map(Into::into).collect()))
    }

    /// Adds a column of byte strings.
    #[must_use]
    pub fn bytes<T: Into<Option<Vec<u8>>>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        self.with(name, Column::Bytes(values.into_iter().map(Into::into).collect()))
    }

    fn with(mut self, name: &'static str, column: Column) -> Self {
        let len = match &column {
            Column::Int(values) => values.len(),
            Column::Text(values) => values.len(),
            Column::Bytes(values) => values.len(),
        };
        assert_eq!(len, self.len, "column {name} has as many values as the batch has rows");
        self.names.push(name);
        self.columns.push(column);
        self
    }

    /// The statement as the engine takes it, bound after `before` other values.
    pub(super) fn spell(&self, text: &str, engine: Engine, before: usize) -> String {
        let text = text.replace("{rows}", &self.source(engine, before));
        let text = spell_lookup(&text, engine, "{each ", "");
        let text = spell_lookup(&text, engine, "{join ", " limit 1");
        spell_lookup(&text, engine, "{lock ", " limit 1 for update")
    }

    /// What `{rows}` stands for when the batch is bound after `before` other values.
    fn source(&self, engine: Engine, before: usize) -> String {
        let mut text = String::with_capacity(40 * self.names.len());
        match engine {
            Engine::Sqlite => {
                text.push_str("(select ");
                for (n, (name, column)) in self.names.iter().zip(&self.columns).enumerate() {
                    let comma = if n == 0 { "" } else { ", " };
                    let value = match column {
                        Column::Bytes(_) => format!("unhex(value ->> {n})"),
                        _ => format!("value ->> {n}"),
                    };
                    write!(text, "{comma}{value} as {name}").expect("writing to a String");
                }
                write!(text, " from json_each(${}))", before + 1).expect("writing to a String");
                text.push_str(" as r");
            }
            Engine::Postgres => {
                text.push_str("unnest(");
                for (n, column) in self.columns.iter().enumerate() {
                    let comma = if n == 0 { "" } else { ", " };
                    let array = match column {
                        Column::Int(_) => "bigint[]",
                        Column::Text(_) => "text[]",
                        Column::Bytes(_) => "bytea[]",
                    };
                    write!(text, "{comma}${}::{array}", before + n + 1)
                        .expect("writing to a String");
                }
                write!(text, ") as r({})", self.names.join(", ")).expect("writing to a String");
            }
        }
        text
    }

    pub(super) fn bind_sqlite(&self, arguments: &mut SqliteArguments) -> sqlx::Result<()> {
        arguments.add(self.json()).map_err(sqlx::Error::Encode)
    }

    pub(super) fn bind_postgres(self, arguments: &mut PgArguments) -> sqlx::Result<()> {
        for column in self.columns {
            match column {
                Column::Int(values) => arguments.add(values),
                Column::Text(values) => arguments.add(values),
                Column::Bytes(values) => arguments.add(values),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(())
    }

    fn json(&self) -> String {
        let mut text = String::with_capacity(self.len * self.columns.len() * 12 + 2);
        text.push('[');
        for row in 0..self.len {
            text.push_str(if row == 0 { "[" } else { ",[" });
            for (n, column) in self.columns.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                column.push_json(row, &mut text);
            }
            text.push(']');
        }
        text.push(']');
        text
    }
}

impl Column {
    fn push_json(&self, row: usize, text: &mut String) {
        match self {
            Self::Int(values) => match values[row] {
                Some(value) => write!(text, "{value}").expect("writing to a String"),
                None => text.push_str("null"),
            },
            Self::Text(values) => {
                let value = serde_json::to_string(&values[row]).expect("a text is valid JSON");
                text.push_str(&value);
            }
            Self::Bytes(values) => match &values[row] {
                Some(bytes) => {
                    text.push('"');
                    for byte in bytes {
                        write!(text, "{byte:02x}").expect("writing to a String");
                    }
                    text.push('"');
                }
                None => text.push_str("null"),
            },
        }
    }
}

fn spell_lookup(text: &str, engine: Engine, opening: &str, suffix: &str) -> String {
    let Some((head, rest)) = text.split_once(opening) else { return text.to_owned() };
    let (lookup, tail) = rest.split_once('}').expect("a look-up ends with a brace");
    let (table, key) = lookup.split_once(" on ").expect("a look-up has a key");
    let (_, alias) = table.split_once(" as ").expect("a look-up has an alias");
    let spelt = match engine {
        Engine::Sqlite => format!("cross join {lookup}"),
        Engine::Postgres => format!(
            "cross join lateral \
             (select {alias}.* from {table} where {key}{suffix}) as {alias}"
        ),
    };
    format!("{head}{spelt}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_is_spelt_so_that_no_planner_turns_it_around() {
        let text = "select m.ord from {rows} {lock message as m on m.ord = r.ord} order by m.ord";
        let rows = Rows::of(1).int("ord", [7]);
        assert_eq!(
            rows.spell(text, Engine::Sqlite, 2),
            "select m.ord from (select value ->> 0 as ord from json_each($3)) as r \
             cross join message as m on m.ord = r.ord order by m.ord"
        );
        assert_eq!(
            rows.spell(text, Engine::Postgres, 2),
            "select m.ord from unnest($3::bigint[]) as r(ord) \
             cross join lateral (select m.* from message as m where m.ord = r.ord limit 1 \
             for update) as m order by m.ord"
        );
    }
}
