//! The function `health`: decode, run, encode.

use lifeboat_runtime::{functions, lambda};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::serve("health", functions::health).await
}
