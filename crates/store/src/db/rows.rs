//! A batch of rows for one statement.
//!
//! The statement names the batch `{rows}` and its columns `r.<name>`. PostgreSQL gets one array
//! per column and `unnest`; SQLite gets one array in its binary JSON and `jsonb_each`, because it
//! has no arrays.
//! (`json_each` would write each row as a text again, and every column would have it parsed.)
//! A column whose values are all the same is bound once, as one value.
//!
//! `{join message as m on m.account_id = $1 and m.ord = r.ord}` finds at most one row of a table
//! for each row of the batch, by its whole key; `{lock …}` locks it as well, `{each …}` finds all
//! rows that share the key. PostgreSQL gets a lateral look-up, which leaves its planner no choice:
//! from a plain join it would read all rows of an account and compare each with the batch, as long
//! as it has no statistics. SQLite gets a cross join, the one it does not turn around, and needs
//! no row locks.
//!
//! `select {pack a, b} from …` hands over many rows at once: SQLite gives all of them as one text,
//! because each row it gives by itself crosses from its thread to ours. `{hex a}` in it stands for
//! bytes.

use std::fmt::Write as _;

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use super::{Engine, jsonb};

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
    /// The columns that differ from row to row; at least one, unless there is one row only.
    varying: Vec<usize>,
    len: usize,
}

impl Rows {
    /// A batch of `len` rows without columns yet.
    pub fn of(len: usize) -> Self {
        Self { len, ..Self::default() }
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
        assert_eq!(
            column.len(),
            self.len,
            "column {name} has as many values as the batch has rows"
        );
        let nth = self.columns.len();
        if !column.is_constant() || self.len > 1 && self.varying.is_empty() && nth == 0 {
            self.varying.push(nth);
        }
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
        let bound = match engine {
            Engine::Sqlite => usize::from(!self.varying.is_empty()),
            Engine::Postgres => self.varying.len(),
        };
        let mut next = before + bound;
        text.push_str("(select ");
        for (n, (name, column)) in self.names.iter().zip(&self.columns).enumerate() {
            text.push_str(if n == 0 { "" } else { ", " });
            let place = self.varying.iter().position(|&nth| nth == n);
            match (place, engine) {
                (None, Engine::Sqlite) => {
                    next += 1;
                    write!(text, "${next} as {name}")
                }
                (None, Engine::Postgres) => {
                    next += 1;
                    write!(text, "${next}::{} as {name}", column.kind())
                }
                (Some(_), Engine::Postgres) => write!(text, "u.{name}"),
                (Some(_), Engine::Sqlite) if self.is_flat() => write!(text, "value as {name}"),
                (Some(at), Engine::Sqlite) => match column {
                    Column::Bytes(_) => write!(text, "unhex(value ->> {at}) as {name}"),
                    _ => write!(text, "value ->> {at} as {name}"),
                },
            }
            .expect("writing to a String");
        }
        if !self.varying.is_empty() {
            match engine {
                Engine::Sqlite => write!(text, " from jsonb_each(${})", before + 1),
                Engine::Postgres => {
                    let arrays = self.varying.iter().enumerate().map(|(n, &nth)| {
                        format!("${}::{}[]", before + n + 1, self.columns[nth].kind())
                    });
                    let arrays = arrays.collect::<Vec<_>>().join(", ");
                    let names: Vec<&str> =
                        self.varying.iter().map(|&nth| self.names[nth]).collect();
                    write!(text, " from unnest({arrays}) as u({})", names.join(", "))
                }
            }
            .expect("writing to a String");
        }
        text.push_str(") as r");
        text
    }

    /// One column of numbers or texts: an array of them instead of an array of rows.
    fn is_flat(&self) -> bool {
        matches!(self.varying[..], [nth] if !matches!(self.columns[nth], Column::Bytes(_)))
    }

    /// The columns that are bound as one value each.
    fn constants(&self) -> impl Iterator<Item = &Column> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(nth, _)| !self.varying.contains(nth)).map(|(_, column)| column)
    }

    pub(super) fn bind_sqlite(&self, arguments: &mut SqliteArguments) -> sqlx::Result<()> {
        if !self.varying.is_empty() {
            arguments.add(self.jsonb()).map_err(sqlx::Error::Encode)?;
        }
        for column in self.constants() {
            match column {
                Column::Int(values) => arguments.add(values[0]),
                Column::Text(values) => arguments.add(values[0].clone()),
                Column::Bytes(values) => arguments.add(values[0].clone()),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(())
    }

    pub(super) fn bind_postgres(&self, arguments: &mut PgArguments) -> sqlx::Result<()> {
        for &nth in &self.varying {
            match &self.columns[nth] {
                Column::Int(values) => arguments.add(values),
                Column::Text(values) => arguments.add(values),
                Column::Bytes(values) => arguments.add(values),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        for column in self.constants() {
            match column {
                Column::Int(values) => arguments.add(values[0]),
                Column::Text(values) => arguments.add(&values[0]),
                Column::Bytes(values) => arguments.add(&values[0]),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(())
    }

    fn jsonb(&self) -> Vec<u8> {
        let width: usize = self.varying.iter().map(|&nth| self.columns[nth].width_hint()).sum();
        let mut out = Vec::with_capacity(self.len * (width + 5) + 5);
        let all = jsonb::open(&mut out);
        for row in 0..self.len {
            let one = (!self.is_flat()).then(|| jsonb::open(&mut out));
            for &nth in &self.varying {
                self.columns[nth].push_jsonb(row, &mut out);
            }
            if let Some(one) = one {
                jsonb::close(&mut out, one);
            }
        }
        jsonb::close(&mut out, all);
        out
    }
}

fn all_same<T: PartialEq>(values: &[T]) -> bool {
    values.iter().all(|value| *value == values[0])
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    fn is_constant(&self) -> bool {
        match self {
            Self::Int(values) => all_same(values),
            Self::Text(values) => all_same(values),
            Self::Bytes(values) => all_same(values),
        }
    }

    /// PostgreSQL's name of its type.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "bigint",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytea",
        }
    }

    /// About how many bytes a value takes.
    fn width_hint(&self) -> usize {
        match self {
            Self::Int(_) => 12,
            Self::Text(values) => values[0].as_ref().map_or(8, |value| value.len() + 8),
            Self::Bytes(values) => values[0].as_ref().map_or(8, |value| 2 * value.len() + 8),
        }
    }

    fn push_jsonb(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Int(values) => match values[row] {
                Some(value) => jsonb::push_int(out, value),
                None => jsonb::push_null(out),
            },
            Self::Text(values) => match &values[row] {
                Some(value) => jsonb::push_text(out, value),
                None => jsonb::push_null(out),
            },
            Self::Bytes(values) => match &values[row] {
                Some(bytes) => {
                    let mut text = String::with_capacity(2 * bytes.len());
                    for byte in bytes {
                        write!(text, "{byte:02x}").expect("writing to a String");
                    }
                    jsonb::push_text(out, &text);
                }
                None => jsonb::push_null(out),
            },
        }
    }
}

/// Spells `{pack …}` and the `{hex …}` in it, which end with the first braces after them.
pub(super) fn spell_pack(text: &str, engine: Engine) -> String {
    let (open, close) = match engine {
        Engine::Sqlite => ("hex(", ")"),
        Engine::Postgres => ("encode(", ", 'hex')"),
    };
    let mut spelt = String::with_capacity(text.len() + 80);
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once("{hex ") {
        let (column, tail) = tail.split_once('}').expect("a column in braces");
        spelt.extend([head, open, column, close]);
        rest = tail;
    }
    spelt.push_str(rest);
    let (head, columns) = spelt.split_once("{pack ").expect("a packed statement");
    let (columns, tail) = columns.split_once('}').expect("a pack ends with a brace");
    match engine {
        Engine::Sqlite => format!("{head}json_group_array(json_array({columns})){tail}"),
        Engine::Postgres => format!("{head}{columns}{tail}"),
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
        let rows = Rows::of(2).int("ord", [7, 8]);
        assert_eq!(
            rows.spell(text, Engine::Sqlite, 2),
            "select m.ord from (select value as ord from jsonb_each($3)) as r \
             cross join message as m on m.ord = r.ord order by m.ord"
        );
        assert_eq!(
            rows.spell(text, Engine::Postgres, 2),
            "select m.ord from (select u.ord from unnest($3::bigint[]) as u(ord)) as r \
             cross join lateral (select m.* from message as m where m.ord = r.ord limit 1 \
             for update) as m order by m.ord"
        );
    }

    #[test]
    fn what_is_the_same_in_all_rows_is_bound_once() {
        let spell = |rows: &Rows, engine| rows.spell("{rows}", engine, 1);
        let one = Rows::of(1).int("a", [7]).text("b", [None::<String>]);
        assert_eq!(spell(&one, Engine::Sqlite), "(select $2 as a, $3 as b) as r");
        assert_eq!(spell(&one, Engine::Postgres), "(select $2::bigint as a, $3::text as b) as r");
        let two = Rows::of(2).int("a", [7, 8]).int("b", [1, 1]).bytes("c", [vec![1u8], vec![2]]);
        assert_eq!(
            spell(&two, Engine::Sqlite),
            "(select value ->> 0 as a, $3 as b, unhex(value ->> 1) as c from jsonb_each($2)) as r"
        );
        assert_eq!(
            spell(&two, Engine::Postgres),
            "(select u.a, $4::bigint as b, u.c from unnest($2::bigint[], $3::bytea[]) as u(a, c)) \
             as r"
        );
        let same = Rows::of(2).int("a", [7, 7]).int("b", [8, 8]);
        assert_eq!(
            spell(&same, Engine::Sqlite),
            "(select value as a, $3 as b from jsonb_each($2)) as r"
        );
    }

    #[test]
    fn a_pack_is_one_text_for_sqlite_and_rows_for_postgresql() {
        let text = "select {pack t.ord, {hex t.id}, (select 1 from x)} from {rows} order by t.ord";
        assert_eq!(
            spell_pack(text, Engine::Sqlite),
            "select json_group_array(json_array(t.ord, hex(t.id), (select 1 from x))) from {rows} \
             order by t.ord"
        );
        assert_eq!(
            spell_pack(text, Engine::Postgres),
            "select t.ord, encode(t.id, 'hex'), (select 1 from x) from {rows} order by t.ord"
        );
    }
}
