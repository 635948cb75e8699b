//! Measures the crate's layers beside their peers and prints a table.

mod alloc;
mod drive;
mod inbound;
mod measure;
mod outbound;
mod tokens;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Peers with rustls or with both backends of jsonwebtoken want to be told which.
    jsonwebtoken10::crypto::aws_lc::DEFAULT_PROVIDER.install_default().expect("the first to say so");
    for algorithm in tokens::ALGORITHMS {
        let corpus = tokens::Corpus::new(algorithm);
        println!("{algorithm}, {} bytes", corpus.token_bytes());
        for cost in inbound::measure(&corpus, 21).await {
            println!("{:>10.0} {:>6.1}  {}", cost.median(), cost.allocations, cost.name);
        }
    }
    for cost in outbound::measure(101).await {
        println!("{:>10.0} {:>6.1}  {}", cost.median(), cost.allocations, cost.name);
    }
}
