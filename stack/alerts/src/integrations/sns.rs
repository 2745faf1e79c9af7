//! Amazon SNS: `Publish`, signed with AWS signature version 4.

use std::collections::BTreeMap;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::Secret;
use crate::config::yaml::block;

block! {
    /// With which key a request is signed.
    SigV4 {
        region: String = String::new(),
        access_key: String = String::new(),
        secret_key: Secret = Secret::default(),
        profile: String = String::new(),
        role_arn: String = String::new(),
        external_id: String = String::new(),
        use_fips_sts_endpoint: bool = false,
        service_name: String = String::new(),
    }
    check(sigv4) {
        if sigv4.access_key.is_empty() != sigv4.secret_key.is_empty() {
            return Err("must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config".to_owned());
        }
        Ok(())
    }
}

block! {
    /// `sns_configs`.
    SnsConfig {
        send_resolved: bool = true,
        http_config: Option<HttpConfig> = None,
        api_url: String = String::new(),
        sigv4: SigV4 = SigV4::default(),
        topic_arn: String = String::new(),
        phone_number: String = String::new(),
        target_arn: String = String::new(),
        subject: String = "{{ template \"sns.default.subject\" . }}".to_owned(),
        message: String = "{{ template \"sns.default.message\" . }}".to_owned(),
        attributes: BTreeMap<String, String> = BTreeMap::new(),
        use_aws_http_client: bool = false,
    }
    check(sns) {
        let blanks = [&sns.target_arn, &sns.topic_arn, &sns.phone_number].map(|text| text.is_empty());
        // Upstream compares the three in a row, which refuses none and two, but lets all three pass.
        if (blanks[0] != blanks[1]) != blanks[2] {
            return Err("must provide either a Target ARN, Topic ARN, or Phone Number for SNS config".to_owned());
        }
        Ok(())
    }
}

integration!(SnsConfig, "sns", |_sns, _global| { Ok(()) });
