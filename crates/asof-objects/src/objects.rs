//! The stores that URLs name, and what lies in them.

use std::collections::HashMap;
use std::sync::Arc;

use asof_model::ObjectUrl;
use asof_model::explain::chain;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;

use crate::object::ObjectFile;
use crate::settings::Variables;
use crate::{ObjectsError, wait};

/// The most objects that one URL may list.
pub const OBJECTS_MAX: usize = 1_000_000;

/// Every bucket that was asked for, each opened once. Cheap to clone.
#[derive(Clone)]
pub struct Objects(Arc<Inner>);

struct Inner {
    variables: Variables,
    /// By bucket, as a URL.
    open: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Objects {
    /// Stores that are configured by these variables, as the environment would hold them.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(Arc::new(Inner { variables: Variables::new(variables), open: Mutex::default() }))
    }

    /// Stores that are configured by the environment of this process. Nothing is opened yet.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::new(std::env::vars_os().filter_map(text))
    }

    /// The store of the URL's bucket; its paths begin at the bucket. No request is made.
    ///
    /// # Errors
    /// [`ObjectsError::Settings`] names the variable that is missing or wrong.
    pub fn store(&self, url: &ObjectUrl) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
        let bucket = url.bucket();
        if let Some(store) = self.0.open.lock().get(&bucket) {
            return Ok(store.clone());
        }
        let store = self.0.variables.open(url)?;
        Ok(self.0.open.lock().entry(bucket).or_insert(store).clone())
    }

    /// The URL's key as a path of its store.
    ///
    /// # Errors
    /// [`ObjectsError::Settings`] for a key that no store takes, such as one with `//` in it.
    pub fn path(&self, url: &ObjectUrl) -> Result<Path, ObjectsError> {
        Path::parse(&url.key).map_err(|error| ObjectsError::Settings {
            url: url.to_string(),
            reason: error.to_string(),
            hint: "write the path without empty parts".to_owned(),
        })
    }

    /// The object at exactly this URL; `None` where there is none.
    ///
    /// # Errors
    /// [`ObjectsError`], but not for a missing object or bucket.
    pub fn find(&self, url: &ObjectUrl) -> Result<Option<ObjectFile>, ObjectsError> {
        if url.key.is_empty() {
            return Ok(None);
        }
        let (store, path) = (self.store(url)?, self.path(url)?);
        let asked = store.clone();
        match wait(async move { asked.head(&path).await })? {
            Ok(facts) => Ok(Some(self.object(store, url, facts))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.explain(url, error)),
        }
    }

    /// The objects whose keys begin with the URL's key and a `/`, in order of their keys. Names of folders, which some
    /// tools keep as empty objects, are left out.
    ///
    /// # Errors
    /// [`ObjectsError`]; a missing bucket is [`ObjectsError::NotFound`].
    pub fn list(&self, url: &ObjectUrl) -> Result<Vec<ObjectFile>, ObjectsError> {
        let (store, path) = (self.store(url)?, self.path(url)?);
        let asked = store.clone();
        let listed = wait(async move {
            let mut all: Vec<ObjectMeta> = Vec::new();
            let mut found = asked.list(Some(&path));
            while let Some(facts) = found.try_next().await? {
                all.push(facts);
                if all.len() > OBJECTS_MAX {
                    break;
                }
            }
            Ok(all)
        })?;
        let mut listed = listed.map_err(|error| self.explain(url, error))?;
        if listed.len() > OBJECTS_MAX {
            return Err(ObjectsError::TooMany { url: url.to_string(), max: OBJECTS_MAX });
        }
        listed.sort_by(|one, other| one.location.cmp(&other.location));
        let object = |facts: ObjectMeta| {
            let url = url.with_key(facts.location.as_ref());
            self.object(store.clone(), &url, facts)
        };
        Ok(listed.into_iter().map(object).collect())
    }

    /// An object that somebody else has listed, such as the log of a table: nothing is asked of the store.
    ///
    /// # Errors
    /// As [`Objects::store`] and [`Objects::path`].
    pub fn known(&self, url: &ObjectUrl, size: u64, modified: i64) -> Result<ObjectFile, ObjectsError> {
        let (store, path) = (self.store(url)?, self.path(url)?);
        Ok(ObjectFile::new(self.clone(), store, url.clone(), path, size, modified, None))
    }

    /// Text without the values of secrets, and without what follows the `?` of a URL.
    pub fn without_secrets(&self, text: &str) -> String {
        self.0.variables.without_secrets(text)
    }

    fn object(&self, store: Arc<dyn ObjectStore>, url: &ObjectUrl, facts: ObjectMeta) -> ObjectFile {
        let modified = facts.last_modified.timestamp_micros();
        ObjectFile::new(self.clone(), store, url.clone(), facts.location, facts.size, modified, facts.e_tag)
    }

    /// What an error of a store means.
    pub fn explain(&self, url: &ObjectUrl, error: object_store::Error) -> ObjectsError {
        let url_text = url.to_string();
        match error {
            object_store::Error::NotFound { .. } => ObjectsError::NotFound { url: url_text },
            object_store::Error::Precondition { .. } => ObjectsError::Changed { url: url_text },
            error => {
                let reason = self.0.variables.without_secrets(&plain(&chain(&error)));
                if reason.contains("404 Not Found") {
                    return ObjectsError::NotFound { url: url_text };
                }
                let denied = matches!(
                    error,
                    object_store::Error::PermissionDenied { .. }
                        | object_store::Error::Unauthenticated { .. }
                );
                let hint = self.0.variables.hint(url.provider, &reason);
                match (denied, hint) {
                    (true, None) => ObjectsError::Denied { url: url_text, reason },
                    (_, hint) => ObjectsError::Unavailable { url: url_text, reason, hint },
                }
            }
        }
    }
}

/// A reason in one line, with the message of the XML that a store answered in place of all of it.
fn plain(reason: &str) -> String {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let body = reason.find("<?xml").or_else(|| reason.find("<Error>"));
    let message = reason.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    match (body, message) {
        (Some(body), Some((message, _))) => format!("{}{message}", &reason[..body]),
        _ => reason,
    }
}
