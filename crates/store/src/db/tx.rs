//! Transactions and statements.

use domain::instant::Instant;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};

use super::rows::spell_pack;
use super::{Engine, PackedRow, Params, Result, Row, Rows};

/// SQL text: one for both engines, or one each where they really differ.
#[derive(Clone, Copy)]
pub struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// A pair of texts for a statement that the engines spell differently; say why beside it.
pub const fn dialects(sqlite: &'static str, postgres: &'static str) -> Sql {
    Sql { sqlite, postgres }
}

enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// An open transaction. Dropped without [`Tx::commit`], it leaves no trace. It must never be held
/// across a call to the outside.
pub struct Tx {
    inner: Inner,
    now: Instant,
    #[cfg(feature = "faults")]
    watch: Option<super::faults::Watch>,
}

macro_rules! run {
    ($tx:ident, $sql:ident, $params:ident, |$query:ident, $on:ident| $run:expr) => {{
        let sql = $sql.into();
        #[cfg(feature = "faults")]
        $tx.step().await;
        match &mut $tx.inner {
            Inner::Sqlite($on) => {
                let $query = (sql.sqlite, $params.sqlite()?);
                $run
            }
            Inner::Postgres($on) => {
                let $query = (sql.postgres, $params.postgres()?);
                $run
            }
        }
    }};
}

macro_rules! run_batch {
    ($tx:ident, $sql:ident, $params:ident, $rows:ident, |$query:ident, $on:ident| $run:expr) => {{
        let sql: Sql = $sql.into();
        let before = count(&$params);
        #[cfg(feature = "faults")]
        $tx.step().await;
        match &mut $tx.inner {
            Inner::Sqlite($on) => {
                let mut arguments = $params.sqlite()?;
                $rows.bind_sqlite(&mut arguments)?;
                let text = $rows.spell(sql.sqlite, Engine::Sqlite, before);
                let $query = (AssertSqlSafe(text), arguments);
                $run
            }
            Inner::Postgres($on) => {
                let mut arguments = $params.postgres()?;
                let text = $rows.spell(sql.postgres, Engine::Postgres, before);
                $rows.bind_postgres(&mut arguments)?;
                let $query = (AssertSqlSafe(text), arguments);
                $run
            }
        }
    }};
}

const fn count<P: Params>(_: &P) -> usize {
    P::COUNT
}

/// The rows of a pack.
fn unpack<R: PackedRow>(pack: &str) -> Result<Vec<R>> {
    serde_json::from_str(pack)
        .map_err(|error| super::Error::Damaged(format!("a pack of rows: {error}")))
}

impl Tx {
    pub(super) fn sqlite(inner: Transaction<'static, Sqlite>, now: Instant) -> Self {
        Self::new(Inner::Sqlite(inner), now)
    }

    pub(super) fn postgres(inner: Transaction<'static, Postgres>, now: Instant) -> Self {
        Self::new(Inner::Postgres(inner), now)
    }

    fn new(inner: Inner, now: Instant) -> Self {
        Self {
            inner,
            now,
            #[cfg(feature = "faults")]
            watch: None,
        }
    }

    /// Has tests know of this transaction, stop at its statements and decide about its commit.
    #[cfg(feature = "faults")]
    pub(super) fn watched(self, faults: &super::Faults, writes: bool) -> Self {
        Self { watch: Some(super::faults::Watch::new(faults, writes)), ..self }
    }

    #[cfg(feature = "faults")]
    async fn step(&self) {
        if let Some(watch) = &self.watch {
            watch.step().await;
        }
    }

    /// The instant this transaction stands for; SQL never asks a clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Which engine runs it.
    pub fn engine(&self) -> Engine {
        match self.inner {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a statement; the number of rows it changed.
    pub async fn execute(&mut self, sql: impl Into<Sql>, params: impl Params) -> Result<u64> {
        Ok(run!(self, sql, params, |query, on| {
            sqlx::query_with(query.0, query.1).execute(&mut **on).await?.rows_affected()
        }))
    }

    /// The first row, if there is one.
    pub async fn optional<R: Row>(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Params,
    ) -> Result<Option<R>> {
        Ok(run!(self, sql, params, |query, on| {
            sqlx::query_as_with(query.0, query.1).fetch_optional(&mut **on).await?
        }))
    }

    /// The one row of a statement that always has one (a count, a sum).
    pub async fn one<R: Row>(&mut self, sql: impl Into<Sql>, params: impl Params) -> Result<R> {
        self.optional(sql, params).await?.ok_or(super::Error::Missing("row"))
    }

    /// All rows; the statement bounds their number.
    pub async fn all<R: Row>(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Params,
    ) -> Result<Vec<R>> {
        Ok(run!(self, sql, params, |query, on| {
            sqlx::query_as_with(query.0, query.1).fetch_all(&mut **on).await?
        }))
    }

    /// Runs one statement over a whole batch; the number of rows it changed.
    pub async fn many(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Params,
        rows: Rows,
    ) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        Ok(run_batch!(self, sql, params, rows, |query, on| {
            sqlx::query_with(query.0, query.1).execute(&mut **on).await?.rows_affected()
        }))
    }

    /// Reads the rows that belong to a batch.
    pub async fn all_of<R: Row>(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Params,
        rows: Rows,
    ) -> Result<Vec<R>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        Ok(run_batch!(self, sql, params, rows, |query, on| {
            sqlx::query_as_with(query.0, query.1).fetch_all(&mut **on).await?
        }))
    }

    /// Reads many rows of a statement that begins with `select {pack …}`; it bounds their number.
    pub async fn packed<R: PackedRow>(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Params,
    ) -> Result<Vec<R>> {
        let sql: Sql = sql.into();
        #[cfg(feature = "faults")]
        self.step().await;
        match &mut self.inner {
            Inner::Sqlite(on) => {
                let text = AssertSqlSafe(spell_pack(sql.sqlite, Engine::Sqlite));
                let pack = sqlx::query_scalar_with(text, params.sqlite()?);
                unpack(&pack.fetch_one(&mut **on).await.map(|text: String| text)?)
            }
            Inner::Postgres(on) => {
                let text = AssertSqlSafe(spell_pack(sql.postgres, Engine::Postgres));
                Ok(sqlx::query_as_with(text, params.postgres()?).fetch_all(&mut **on).await?)
            }
        }
    }

    /// Reads the rows that belong to a batch, all at once: the statement begins with
    /// `select {pack …}`.
    pub async fn packed_of<R: PackedRow>(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Params,
        rows: Rows,
    ) -> Result<Vec<R>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let sql: Sql = sql.into();
        let before = count(&params);
        #[cfg(feature = "faults")]
        self.step().await;
        match &mut self.inner {
            Inner::Sqlite(on) => {
                let mut arguments = params.sqlite()?;
                rows.bind_sqlite(&mut arguments)?;
                let text = spell_pack(sql.sqlite, Engine::Sqlite);
                let text = AssertSqlSafe(rows.spell(&text, Engine::Sqlite, before));
                let pack = sqlx::query_scalar_with(text, arguments);
                unpack(&pack.fetch_one(&mut **on).await.map(|text: String| text)?)
            }
            Inner::Postgres(on) => {
                let mut arguments = params.postgres()?;
                let text = spell_pack(sql.postgres, Engine::Postgres);
                let text = AssertSqlSafe(rows.spell(&text, Engine::Postgres, before));
                rows.bind_postgres(&mut arguments)?;
                Ok(sqlx::query_as_with(text, arguments).fetch_all(&mut **on).await?)
            }
        }
    }

    /// Runs a script of several statements (migrations).
    pub(super) async fn script(&mut self, text: &'static str) -> Result<()> {
        match &mut self.inner {
            Inner::Sqlite(on) => {
                sqlx::raw_sql(text).execute(&mut **on).await?;
            }
            Inner::Postgres(on) => {
                sqlx::raw_sql(text).execute(&mut **on).await?;
            }
        }
        Ok(())
    }

    /// Makes it all durable.
    pub async fn commit(self) -> Result<()> {
        let Self { inner, .. } = self;
        let commit = async move {
            match inner {
                Inner::Sqlite(inner) => inner.commit().await?,
                Inner::Postgres(inner) => inner.commit().await?,
            }
            Ok(())
        };
        #[cfg(feature = "faults")]
        if let Some(watch) = self.watch {
            return watch.commit(commit).await;
        }
        commit.await
    }
}
