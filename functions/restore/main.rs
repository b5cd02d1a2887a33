//! The function `restore`: decode, run, encode.

use lifeboat_runtime::{functions, lambda};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::serve("restore", functions::restore).await
}
