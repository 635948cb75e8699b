# The steps of .ci/run, by the same names.

# what every commit passes
gate: fmt clippy test doc

fmt:
    cargo fmt --check

clippy:
    cargo clippy --locked --all-features --all-targets -- -D warnings

test:
    cargo test --all-features

# each feature alone, no feature, and the other backend
features:
    cargo check --locked --no-default-features
    for feature in jwt aws-lc-rs rust-crypto pat issue sqlite postgres remote client https reqwest axum tracing test-util full; do cargo check --locked --no-default-features --features $feature || exit 1; done
    cargo test --locked --no-default-features --features full,rust-crypto,test-util --lib --tests

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --all-features --no-deps

# official vectors; the folder is named by TOWER_BEARER_VECTORS
vectors:
    cargo test --locked --all-features --lib vectors -- --ignored

# gRPC clients in Python and JavaScript against the example server
interop:
    tests/interop/run

# the stores against PostgreSQL, and servers that share one
stores:
    tests/stores/run

bench:
    cargo bench --locked --all-features -- --test

# instructions for each request against the baseline; needs valgrind
instructions:
    benches/instructions/run
