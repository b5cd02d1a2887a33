//! The function `maintenance`: decode, run, encode.

use lifeboat_runtime::{functions, lambda};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::serve("maintenance", functions::maintenance).await
}
