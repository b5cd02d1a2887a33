//! A real dump, encrypted, there and back: by a restore with the key, and by the stock programs `age` and `pg_restore`.

use std::{fs, process::Command, sync::Arc};

use lifeboat_archive::{
    codec::Codec,
    encryption::{Identities, Recipients},
};
use lifeboat_core::{
    ErrorKind, catalog,
    dump::{self, DumpPorts, DumpRequest},
    ports::{Removal, Store, Target},
    restore::{self, RestorePorts, RestoreRequest},
    verify,
};
use lifeboat_postgres::PgSource;
use lifeboat_testkit::{FixedEntropy, MemoryStore, context};
use secrecy::ExposeSecret;

use crate::setting::{cluster, create_database, every_kind, repository, run, search, target, tool};

const MAJOR: u32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_dump_comes_back_by_its_key_alone_and_by_the_stock_programs() {
    let cluster = cluster(MAJOR).await;
    let source = every_kind(MAJOR, &cluster, "source").await;
    let (identities, public, secret) = Identities::generate();
    let (right, wrong) = (Arc::new(identities), Arc::new(Identities::generate().0));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Removal::Delete));
    let ports = DumpPorts {
        source: Arc::new(PgSource::new(source.clone(), search()).await.unwrap()),
        store: Arc::clone(&store),
        control: Arc::clone(&store),
    };
    let request = DumpRequest {
        encryption: Some(Arc::new(Recipients::parse([public.as_str()]).unwrap())),
        codec: Codec::Gzip { level: 1 },
        chunk_bytes: 1 << 20,
        ..DumpRequest::new("kept".parse().unwrap())
    };
    let context = context().build();
    let manifest = Arc::new(dump::run(&ports, &request, &context).await.unwrap().manifest);
    assert!(manifest.tables.iter().any(|t| t.chunks.len() > 1) && manifest.large_objects.len() > 3);
    assert!(manifest.objects().all(|o| o.key.strip_suffix(".age").is_some() != (o.key == "RESTORE.md")));

    let backup = catalog::open(&*store, &manifest.database, &manifest.backup_id).await.unwrap();
    let hashed = verify::run(&store, &backup, &Arc::default(), 2, &context).await.unwrap();
    assert!(!hashed.decoded && hashed.damage.is_empty());
    let later = lifeboat_testkit::context().run(2).entropy(Arc::new(FixedEntropy::starting_at(2000))).build();
    let opened = verify::run(&store, &backup, &right, 2, &later).await.unwrap();
    assert!(opened.decoded && opened.damage.is_empty() && opened.rows == manifest.totals.rows);

    let restored = create_database(&cluster, "restored", "").await;
    let ports = |identities: &Arc<Identities>, target: &Arc<dyn Target>| RestorePorts {
        store: Arc::clone(&store),
        identities: Arc::clone(identities),
        target: Arc::clone(target),
    };
    let into: Arc<dyn Target> = Arc::new(target(&restored).await);
    for identities in [&wrong, &Arc::default()] {
        let request = RestoreRequest::default();
        let refused = restore::run(&ports(identities, &into), &manifest, &request, None, &context).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Keys, "{refused}");
        assert_eq!(into.facts().await.unwrap().contents, Vec::<String>::new());
    }
    let request = RestoreRequest { jobs: 2, ..RestoreRequest::default() };
    let done = restore::run(&ports(&right, &into), &manifest, &request, None, &context).await.unwrap();
    assert!(done.compared.len() > 100 && done.rows == manifest.totals.rows);

    // Without Lifeboat: what RESTORE.md says, a file at a time.
    let place = tempfile::tempdir().unwrap();
    let key = place.path().join("key");
    fs::write(&key, secret.expose_secret()).unwrap();
    fs::create_dir(place.path().join("archive")).unwrap();
    for object in manifest.objects().filter(|o| o.key.starts_with("archive/")) {
        let (bytes, _) = store.read(&format!("{}{}", manifest.folder(), object.key), 1 << 30).await.unwrap();
        let file = place.path().join(&object.key);
        fs::write(&file, bytes).unwrap();
        let mut age = Command::new(repository().join(".tools/bin/age"));
        age.arg("-d").arg("-i").arg(&key).arg("-o").arg(file.with_extension("")).arg(&file);
        run(age);
    }
    for table in manifest.tables.iter().filter(|t| t.chunks.len() > 1) {
        let pieces = table.chunks.iter().map(|c| place.path().join(c.key.strip_suffix(".age").unwrap()));
        let joined: Vec<u8> = pieces.flat_map(|piece| fs::read(piece).unwrap()).collect();
        fs::write(place.path().join(format!("archive/{}.dat.gz", table.dump_id)), joined).unwrap();
    }
    let stock = create_database(&cluster, "stock", "").await;
    let mut pg_restore = tool(MAJOR, "pg_restore", &stock).await;
    pg_restore.args(["--exit-on-error", "-d", "stock"]).arg(place.path().join("archive"));
    run(pg_restore);
    let by_stock = target(&stock).await;
    assert_eq!(by_stock.inventory().await.unwrap(), into.inventory().await.unwrap());
    assert_eq!(by_stock.facts().await.unwrap().contents.len(), into.facts().await.unwrap().contents.len());
}
