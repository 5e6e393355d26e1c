//! Mutants: known bugs, planted on purpose, to prove that a test would have caught each of them.
//!
//! `if domain::mutant!(M3) { … }` is the bug `M3`. It is there only with the feature `mutants`, and
//! bites only in a process whose environment names it in `LEDGERLINE_MUTANT`; without the feature
//! the condition is the constant `false` and nothing of the bug is compiled. What each one breaks
//! and which test catches it is told in `docs/MUTANTS.md`, made by `cargo xtask mutants`.

/// Whether a planted bug bites: `mutant!(M3)`.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is(stringify!($name))
    };
}

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("mutants are for tests: no optimized build may hold them");

/// Whether this process runs with the planted bug `name`.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn is(_name: &str) -> bool {
    false
}

/// Whether this process runs with the planted bug `name`.
#[cfg(feature = "mutants")]
pub fn is(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("LEDGERLINE_MUTANT").ok());
    chosen.as_deref() == Some(name)
}
