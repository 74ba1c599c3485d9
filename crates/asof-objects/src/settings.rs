//! From the variables of the environment to a store.
//!
//! The variables are those of each store's own tools: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`; `GOOGLE_APPLICATION_CREDENTIALS`,
//! `GOOGLE_SERVICE_ACCOUNT_KEY`; `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, and whatever else
//! [`object_store`] reads under these prefixes. A variable that is empty counts as not set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use asof_model::ObjectUrl;
use asof_model::location::Provider;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::ObjectsError;

/// How often a request is made again after the store or the network failed.
const RETRIES_MAX: usize = 4;

/// No request is made again after this time.
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);

/// The longest wait between two attempts.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Time to reach a server.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Time for one request with its answer: a few megabytes.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(120);

/// The variables that stores are configured from.
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The variables of stores among those given.
    pub(crate) fn new(all: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
        Self(all.into_iter().filter(|(name, value)| ours(name) && !value.is_empty()).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on"))
    }

    /// Those of a store, with the names that its builder knows.
    fn of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (String, &'a str)> {
        let ours = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        ours.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }

    /// Text without the values of secrets, and without what follows the `?` of a URL: it may be a signature.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        /// Shorter values would be found everywhere.
        const SECRET_BYTES_MIN: usize = 4;
        let secret = |name: &str| {
            let place = name.ends_with("_FILE") || name.ends_with("_PATH");
            let words = ["KEY", "SECRET", "TOKEN", "PASSWORD", "SAS"];
            !place && words.iter().any(|word| name.contains(word))
        };
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            if secret(name) && value.len() >= SECRET_BYTES_MIN {
                text = text.replace(value, "***");
            }
        }
        let words = text.split_inclusive([' ', '\n', '"', ')']).map(|word| match word.split_once('?') {
            Some((before, _)) if word.contains("://") => {
                let end = word.chars().next_back().filter(|last| [' ', '\n', '"', ')'].contains(last));
                format!("{before}{}", end.map_or_else(String::new, String::from))
            }
            _ => word.to_owned(),
        });
        words.collect()
    }

    /// What to do about an error of a store, where the variables tell.
    pub(crate) fn hint(&self, provider: Provider, reason: &str) -> Option<String> {
        let text = match provider {
            Provider::S3 if reason.contains("redirect without LOCATION") => {
                "the bucket is in another region: set `AWS_REGION`"
            }
            Provider::S3 if self.lacks_s3_credentials() => S3_CREDENTIALS,
            Provider::Gcs if self.lacks_gcs_credentials() => GCS_CREDENTIALS,
            Provider::Azure if self.lacks_azure_credentials() => AZURE_CREDENTIALS,
            _ => return None,
        };
        Some(text.to_owned())
    }

    fn lacks_s3_credentials(&self) -> bool {
        !self.has_any(&[
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ]) && !self.is_true("AWS_SKIP_SIGNATURE")
    }

    fn lacks_gcs_credentials(&self) -> bool {
        !self.has_any(&[
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
        ]) && !self.is_true("GOOGLE_SKIP_SIGNATURE")
    }

    fn lacks_azure_credentials(&self) -> bool {
        let named = |name: &String| {
            ["KEY", "SAS", "TOKEN", "SECRET", "MSI", "IDENTITY", "CLI"].iter().any(|word| name.contains(word))
        };
        !self.0.keys().any(|name| name.starts_with("AZURE_") && named(name))
            && !self.is_true("AZURE_SKIP_SIGNATURE")
    }

    /// The store of the bucket that `url` names.
    pub(crate) fn open(&self, url: &ObjectUrl) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
        match url.provider {
            Provider::S3 => self.s3(url),
            Provider::Gcs => self.gcs(url),
            Provider::Azure => self.azure(url),
        }
    }

    fn s3(&self, url: &ObjectUrl) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
        for (one, other) in
            [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
        {
            if self.get(one).is_some() && self.get(other).is_none() {
                let reason = format!("`{one}` is set, and `{other}` is not");
                return Err(settings(url, reason, format!("set `{other}` too")));
            }
        }
        let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
        let plain = |name: &&str| self.get(name).is_some_and(|value| value.starts_with("http://"));
        if let Some(name) = endpoint.iter().find(|name| plain(name))
            && !self.is_true("AWS_ALLOW_HTTP")
        {
            let reason = format!("`{name}` begins with `http://`, which is not encrypted");
            return Err(settings(url, reason, "set `AWS_ALLOW_HTTP=true` to allow it".to_owned()));
        }
        let mut builder = AmazonS3Builder::new()
            .with_retry(retries())
            .with_client_options(client().with_allow_http(self.is_true("AWS_ALLOW_HTTP")));
        for (name, value) in self.of("AWS_") {
            if let Ok(key) = name.parse() {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder.with_bucket_name(&url.authority).build();
        Ok(Arc::new(store.map_err(|error| self.refused(url, error))?))
    }

    fn gcs(&self, url: &ObjectUrl) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
        let mut builder =
            GoogleCloudStorageBuilder::new().with_retry(retries()).with_client_options(client());
        for (name, value) in self.of("GOOGLE_") {
            if let Ok(key) = name.parse() {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder.with_bucket_name(&url.authority).build();
        Ok(Arc::new(store.map_err(|error| self.refused(url, error))?))
    }

    fn azure(&self, url: &ObjectUrl) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
        let emulator = self.is_true("AZURE_STORAGE_USE_EMULATOR");
        if !url.authority.contains('@') && !self.has_any(&["AZURE_STORAGE_ACCOUNT_NAME"]) && !emulator {
            let reason = "no storage account is named".to_owned();
            let hint = "set `AZURE_STORAGE_ACCOUNT_NAME`, or write \
                        `abfss://container@account.dfs.core.windows.net/folder`";
            return Err(settings(url, reason, hint.to_owned()));
        }
        let options = client().with_allow_http(self.is_true("AZURE_ALLOW_HTTP") || emulator);
        let mut builder = MicrosoftAzureBuilder::new().with_retry(retries()).with_client_options(options);
        for (name, value) in self.of("AZURE_") {
            if let Ok(key) = name.parse() {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder.with_url(format!("{}/", url.bucket())).build();
        Ok(Arc::new(store.map_err(|error| self.refused(url, error))?))
    }

    fn refused(&self, url: &ObjectUrl, error: object_store::Error) -> ObjectsError {
        let reason = self.without_secrets(&error.to_string());
        let hint = self.hint(url.provider, &reason).unwrap_or_else(|| {
            let prefix = match url.provider {
                Provider::S3 => "AWS_",
                Provider::Gcs => "GOOGLE_",
                Provider::Azure => "AZURE_",
            };
            format!("check the variables that begin with `{prefix}`")
        });
        settings(url, reason, hint)
    }
}

const S3_CREDENTIALS: &str = "there are no credentials: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or \
                              `AWS_SKIP_SIGNATURE=true` for a public bucket";
const GCS_CREDENTIALS: &str = "there are no credentials: set `GOOGLE_APPLICATION_CREDENTIALS` to the file of an \
                               account, or `GOOGLE_SKIP_SIGNATURE=true` for a public bucket";
const AZURE_CREDENTIALS: &str = "there are no credentials: set `AZURE_STORAGE_ACCOUNT_KEY` or \
                                 `AZURE_STORAGE_SAS_TOKEN`, or `AZURE_SKIP_SIGNATURE=true` for a public container";

fn settings(url: &ObjectUrl, reason: String, hint: String) -> ObjectsError {
    ObjectsError::Settings { url: url.to_string(), reason, hint }
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: RETRY_WAIT_MAX, ..BackoffConfig::default() },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIME_MAX,
    }
}

fn client() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(CONNECT_TIME_MAX).with_timeout(REQUEST_TIME_MAX)
}
