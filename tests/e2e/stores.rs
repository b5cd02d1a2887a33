//! Every operation on every kind of store: a folder, MinIO and LocalStack.

pub(crate) mod access;
mod history;
mod life;
mod retention;

use anyhow::Result;
use lifeboat_tests::StoreUnderTest;

#[test]
fn a_backup_lives_in_a_folder() -> Result<()> {
    life::whole(&StoreUnderTest::folder()?, "life_in_a_folder")
}

#[test]
fn a_backup_lives_in_minio() -> Result<()> {
    life::whole(&StoreUnderTest::minio()?, "life_in_minio")
}

#[test]
fn a_backup_lives_in_localstack() -> Result<()> {
    life::whole(&StoreUnderTest::localstack()?, "life_in_localstack")
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_deletes_in_a_folder() -> Result<()> {
    retention::whole(&StoreUnderTest::folder()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_tags_in_minio() -> Result<()> {
    retention::whole(&StoreUnderTest::minio()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_tags_in_localstack() -> Result<()> {
    retention::whole(&StoreUnderTest::localstack()?).await
}
