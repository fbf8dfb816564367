//! S3 with the credentials and the region that every AWS tool would find.
//!
//! object_store's own discovery knows fewer ways than the AWS SDK (no profiles, no SSO, no
//! credential process), so aws-config finds them and [`Credentials`] hands them over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::{CredentialProvider, ObjectStore};
use tokio::sync::Mutex;
use url::Url;

use crate::Result;
use crate::open::{Patience, wrong};

/// Credentials are fetched anew this long before they expire.
const EARLY: Duration = Duration::from_secs(300);

/// Opens the bucket twice: for data, and for documents with short time-outs.
pub(crate) async fn open(
    given: &str,
    url: &Url,
) -> Result<(Arc<dyn ObjectStore>, Arc<dyn ObjectStore>)> {
    let Some(bucket) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(wrong(given, "names no bucket: write s3://bucket/prefix"));
    };
    let mut endpoint = std::env::var("AWS_ENDPOINT_URL_S3")
        .or_else(|_| std::env::var("AWS_ENDPOINT_URL"))
        .ok()
        .filter(|endpoint| !endpoint.is_empty());
    let mut region = None;
    for (name, value) in url.query_pairs() {
        match &*name {
            "endpoint" => endpoint = Some(value.into_owned()),
            "region" => region = Some(value.into_owned()),
            _ => {
                return Err(wrong(
                    given,
                    &format!("`{name}` is not known: after ? come endpoint=… and region=…"),
                ));
            }
        }
    }
    let config = sdk_config(region, endpoint.is_some()).await;
    let Some(region) = config.region().map(ToString::to_string) else {
        return Err(wrong(
            given,
            "no region was found: set AWS_REGION, or region in the profile, or add ?region=…",
        ));
    };
    let endpoint = endpoint.or_else(|| config.endpoint_url().map(str::to_owned));
    let Some(provider) = config.credentials_provider() else {
        return Err(wrong(given, "no provider of credentials was found"));
    };
    let credentials = Arc::new(Credentials {
        provider,
        kept: Mutex::new(None),
    });
    let build = |patience: &Patience| -> Result<Arc<dyn ObjectStore>> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&region)
            .with_credentials(credentials.clone())
            .with_retry(patience.retry())
            .with_client_options(patience.client());
        if let Some(endpoint) = &endpoint {
            // Path style is object_store's default, and what MinIO and its like take.
            builder = builder
                .with_endpoint(endpoint.trim_end_matches('/'))
                .with_allow_http(endpoint.starts_with("http://"));
        }
        let store = builder
            .build()
            .map_err(|error| wrong(given, &error.to_string()))?;
        Ok(Arc::new(store))
    };
    Ok((build(&Patience::DATA)?, build(&Patience::MARKERS)?))
}

async fn sdk_config(region: Option<String>, own_endpoint: bool) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let loader = match region {
        Some(region) => loader.region(Region::new(region)),
        // Off AWS there is no metadata service to ask (asking costs seconds), and the region is
        // only a part of the signature.
        None if own_endpoint => loader.region(
            RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(Region::from_static("us-east-1")),
        ),
        None => loader,
    };
    loader.load().await
}

/// Hands aws-config's credentials to object_store, which asks before every request: kept until
/// shortly before they expire.
#[derive(Debug)]
struct Credentials {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<(Arc<AwsCredential>, Option<SystemTime>)>>,
}

#[async_trait::async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // Held over the fetch, so that many requests at once make one fetch.
        let mut kept = self.kept.lock().await;
        if let Some((credential, expiry)) = &*kept
            && expiry.is_none_or(|expiry| SystemTime::now() + EARLY < expiry)
        {
            return Ok(Arc::clone(credential));
        }
        let found = self.provider.provide_credentials().await.map_err(|error| {
            object_store::Error::Unauthenticated {
                path: "(credentials)".to_owned(),
                source: Box::new(error),
            }
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        *kept = Some((Arc::clone(&credential), found.expiry()));
        Ok(credential)
    }
}
