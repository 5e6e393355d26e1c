# The daily verbs. CI runs the same commands through .ci/run.

# The verbs and what they do.
default:
    @just --list

# Start Ledgerline with the sandbox carrier; arguments go to `ledgerline serve`.
run *arguments:
    cargo run --release -- serve {{arguments}}

# Start Ledgerline with an invented business, to look around.
demo *arguments:
    cargo run --release -- demo {{arguments}}

# Everything that must hold, or the tests that match.
test *filters:
    ./test {{filters}}

# What needs no test to run: formatting, lints, house rules.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- --deny warnings
    cargo xtask tidy

# The measurements.
bench *arguments:
    cargo xtask bench {{arguments}}

# Known bugs, planted on purpose one at a time: would our tests have caught them?
mutants *arguments:
    cargo xtask mutants {{arguments}}

# Format the code.
fmt:
    cargo fmt --all

# Licences, advisories and forbidden crates (needs cargo-deny).
deny:
    cargo deny check
