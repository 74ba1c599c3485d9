//! What stands at the path when a registry is opened.

use std::path::Path;

use asof_model::{Explain, Instant, Kind};
use asof_registry::{Change, ObjectKey, Registry, RegistryError, Revision, SqliteOptions, SqliteRegistry};
use serde_json::json;

fn driver() -> Change {
    Change::Put {
        key: ObjectKey::entity("driver"),
        spec: json!({ "keys": { "driver": "int64" } }),
        semantic_hash: String::new(),
        identity: String::new(),
    }
}

async fn error_of(path: &Path) -> RegistryError {
    let error = SqliteRegistry::open(path, "credit").await.unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    error
}

/// Goal: folders and file are created on the way, also where the name looks like a URL or holds odd letters.
#[tokio::test]
async fn creates_folder_and_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a/b/registry.db", "file:x?mode=memory/registry.db", "größe 100%/#1.db"] {
        let path = folder.path().join(name);
        let registry = SqliteRegistry::open(&path, "credit").await.unwrap();
        registry.apply(0, &[driver()], Instant::EPOCH, "ana").await.unwrap();
        registry.close().await;
        assert!(path.is_file(), "{name}");
    }
}

/// Goal: who only reads does not create what is not there, and opens what is.
#[tokio::test]
async fn reading_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".asof/registry.db");
    let reading = SqliteOptions { create: false, ..SqliteOptions::default() };
    let error = SqliteRegistry::open_with(&path, "credit", reading.clone()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Missing { .. }), "{error:?}");
    assert_eq!((error.kind(), error.hint().as_deref()), (Kind::NotFound, Some("`asof apply` creates it")));
    assert!(!folder.path().join(".asof").exists());
    SqliteRegistry::open(&path, "credit").await.unwrap();
    let registry = SqliteRegistry::open_with(&path, "credit", reading).await.unwrap();
    assert_eq!(registry.snapshot().await.unwrap().revision, Revision::none());
}

/// Goal: a file of another kind is refused by name and left as it was, byte for byte.
#[tokio::test]
async fn refuses_files_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    for garbage in [b"hello".to_vec(), b"name,city\n1,Rome\n".repeat(1000), vec![0; 8192]] {
        std::fs::write(&path, &garbage).unwrap();
        let error = error_of(&path).await;
        assert!(matches!(error, RegistryError::NotARegistry { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("`{}` is not a registry: it is not an SQLite database", path.display())
        );
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(std::fs::read(&path).unwrap(), garbage);
    }
    let error = error_of(folder.path()).await;
    assert!(matches!(error, RegistryError::Unwritable { .. }), "{error:?}");
}

/// Goal: a folder that cannot be made is told as such, with the cause of the system.
#[tokio::test]
async fn refuses_a_folder_that_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = error_of(&folder.path().join("file/registry.db")).await;
    assert!(matches!(error, RegistryError::Unwritable { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(std::error::Error::source(&error).is_some());
}

/// Goal: an empty file is a new registry, as a file that was made for it in advance is.
#[tokio::test]
async fn takes_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    std::fs::write(&path, "").unwrap();
    let registry = SqliteRegistry::open(&path, "credit").await.unwrap();
    assert_eq!(registry.apply(0, &[driver()], Instant::EPOCH, "ana").await.unwrap().number, 1);
}

/// Goal: any number of programs may open a new file at the same time, and all of them get a working registry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_open_a_new_file_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/registry.db");
        let opened = (0..12).map(|each| {
            let path = path.clone();
            tokio::spawn(async move {
                let registry = SqliteRegistry::open(&path, &format!("project-{each}")).await?;
                registry.apply(0, &[driver()], Instant::EPOCH, "ana").await
            })
        });
        for each in futures::future::join_all(opened).await {
            assert_eq!(each.unwrap().unwrap().number, 1);
        }
    }
}
