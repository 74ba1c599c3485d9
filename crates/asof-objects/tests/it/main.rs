//! What the environment says becomes a store, or an error that names what is missing; no request is made here.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use asof_model::{Explain, Kind, Location, ObjectUrl};
use asof_objects::Objects;

fn url(text: &str) -> ObjectUrl {
    match Location::parse(text, Path::new("")).unwrap() {
        Location::Object(url) => url,
        Location::Local(path) => panic!("{} is a path", path.display()),
    }
}

fn objects(variables: &[(&str, &str)]) -> Objects {
    Objects::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// Goal: a store of each provider is made from the variables of its own tools.
#[test]
fn stores_of_every_provider() {
    let aws = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "word"), ("AWS_REGION", "eu-west-1")];
    // What a service account's file holds; the key was made for this test.
    let key = r#"{"type":"service_account","project_id":"p","private_key_id":"1","private_key":"private_key","client_email":"a@b.c","client_id":"2","disable_oauth":true,"gcs_base_url":"http://localhost"}"#;
    for (text, variables, shown) in [
        ("s3://lake/a", &aws[..], "AmazonS3(lake)"),
        ("s3://lake/a", &[("AWS_SKIP_SIGNATURE", "true")], "AmazonS3(lake)"),
        ("gs://lake/a", &[("GOOGLE_SERVICE_ACCOUNT_KEY", key)], "GoogleCloudStorage(lake)"),
        (
            "az://box/a",
            &[("AZURE_STORAGE_ACCOUNT_NAME", "shop"), ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")],
            "MicrosoftAzure { account: shop, container: box }",
        ),
        (
            "abfss://box@shop.dfs.core.windows.net/a",
            &[("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")],
            "MicrosoftAzure { account: shop, container: box }",
        ),
    ] {
        let store = objects(variables).store(&url(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(store.to_string(), shown, "{text}");
    }
}

/// Goal: what is missing or wrong is named with the URL and the variable to set, and a secret is never repeated.
#[test]
fn settings_that_are_missing_or_wrong() {
    for (text, variables, reason, hint) in [
        (
            "s3://lake/a",
            &[("AWS_ACCESS_KEY_ID", "the-id"), ("AWS_SECRET_ACCESS_KEY", "")][..],
            "`AWS_ACCESS_KEY_ID` is set, and `AWS_SECRET_ACCESS_KEY` is not",
            "set `AWS_SECRET_ACCESS_KEY` too",
        ),
        (
            "s3://lake/a",
            &[("AWS_SECRET_ACCESS_KEY", "hidden")],
            "`AWS_SECRET_ACCESS_KEY` is set, and `AWS_ACCESS_KEY_ID` is not",
            "set `AWS_ACCESS_KEY_ID` too",
        ),
        (
            "s3://lake/a",
            &[("AWS_ENDPOINT_URL", "http://localhost:9000")],
            "`AWS_ENDPOINT_URL` begins with `http://`",
            "set `AWS_ALLOW_HTTP=true` to allow it",
        ),
        (
            "s3://lake/a",
            &[("AWS_UNSIGNED_PAYLOAD", "perhaps")],
            "perhaps",
            "there are no credentials: set `AWS_",
        ),
        (
            "gs://lake/a",
            &[("GOOGLE_SERVICE_ACCOUNT_KEY", "{hidden}")],
            "",
            "check the variables that begin with `GOOGLE_`",
        ),
        (
            "gs://lake/a",
            &[("GOOGLE_APPLICATION_CREDENTIALS", "/gone.json")],
            "/gone.json",
            "check the variables",
        ),
        (
            "az://box/a",
            &[],
            "no storage account is named",
            "set `AZURE_STORAGE_ACCOUNT_NAME`, or write `abfss://",
        ),
        (
            "az://box/a",
            &[("AZURE_STORAGE_ACCOUNT_NAME", "shop"), ("AZURE_STORAGE_ACCOUNT_KEY", "?hidden?")],
            "",
            "check the variables that begin with `AZURE_`",
        ),
    ] {
        let Err(error) = objects(variables).store(&url(text)) else {
            panic!("{text} {variables:?} is a store")
        };
        let message = error.to_string();
        assert!(message.starts_with(&format!("`{text}` cannot be reached: ")), "{message}");
        assert!(message.contains(reason), "{message}");
        let found = error.hint().unwrap();
        assert!(found.starts_with(hint), "{found}");
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    }
}

/// Goal: a signature in a URL of an error, and the values of secrets, are taken out of it; the rest stays.
#[test]
fn secrets_are_taken_out() {
    let objects = objects(&[("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=abcd"), ("AWS_REGION", "eu-west-1")]);
    let source = "GET https://shop.blob/box?sig=xyz&b=1 in eu-west-1 failed: sv=1&sig=abcd? (why?)".into();
    let error = object_store::Error::Generic { store: "Azure", source };
    let text = objects.explain(&url("az://box/a"), error).to_string();
    assert!(text.contains("GET https://shop.blob/box in eu-west-1 failed: ***? (why?)"), "{text}");
}
