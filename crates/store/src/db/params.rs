//! Values and rows that both engines can bind and decode.

use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Encode, FromRow, Postgres, Sqlite, Type};

/// A value both engines can bind.
pub trait Param:
    for<'q> Encode<'q, Sqlite>
    + Type<Sqlite>
    + for<'q> Encode<'q, Postgres>
    + Type<Postgres>
    + Send
    + 'static
{
}

impl<T> Param for T where
    T: for<'q> Encode<'q, Sqlite>
        + Type<Sqlite>
        + for<'q> Encode<'q, Postgres>
        + Type<Postgres>
        + Send
        + 'static
{
}

/// A row both engines can decode; tuples of numbers, texts, bytes and options of them are.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T
where
    T: for<'r> FromRow<'r, SqliteRow>,
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
}

/// A row that both engines can hand over in a pack; tuples of numbers, texts and options of them
/// are.
pub trait PackedRow: for<'r> FromRow<'r, PgRow> + DeserializeOwned + Send + Unpin {}

impl<T> PackedRow for T where T: for<'r> FromRow<'r, PgRow> + DeserializeOwned + Send + Unpin {}

/// A tuple of values for `$1`, `$2`, …
pub trait Params: Send {
    /// How many there are.
    const COUNT: usize;
    /// For SQLite.
    fn sqlite(self) -> sqlx::Result<SqliteArguments>;
    /// For PostgreSQL.
    fn postgres(self) -> sqlx::Result<PgArguments>;
}

macro_rules! params {
    ($($value:ident),*) => {
        #[expect(non_snake_case, reason = "one name serves as type and as value")]
        impl<$($value: Param),*> Params for ($($value,)*) {
            const COUNT: usize = [$(stringify!($value)),*].len();

            fn sqlite(self) -> sqlx::Result<SqliteArguments> {
                let ($($value,)*) = self;
                let mut arguments = SqliteArguments::default();
                $(arguments.add($value).map_err(sqlx::Error::Encode)?;)*
                Ok(arguments)
            }

            fn postgres(self) -> sqlx::Result<PgArguments> {
                let ($($value,)*) = self;
                let mut arguments = PgArguments::default();
                $(arguments.add($value).map_err(sqlx::Error::Encode)?;)*
                Ok(arguments)
            }
        }
    };
}

impl Params for () {
    const COUNT: usize = 0;
    fn sqlite(self) -> sqlx::Result<SqliteArguments> {
        Ok(SqliteArguments::default())
    }
    fn postgres(self) -> sqlx::Result<PgArguments> {
        Ok(PgArguments::default())
    }
}

params!(A);
params!(A, B);
params!(A, B, C);
params!(A, B, C, D);
params!(A, B, C, D, E);
params!(A, B, C, D, E, F);
params!(A, B, C, D, E, F, G);
params!(A, B, C, D, E, F, G, H);
params!(A, B, C, D, E, F, G, H, I);
params!(A, B, C, D, E, F, G, H, I, J);
params!(A, B, C, D, E, F, G, H, I, J, K);
params!(A, B, C, D, E, F, G, H, I, J, K, L);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V);
params!(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W);
