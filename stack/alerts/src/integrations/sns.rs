//! Amazon SNS: `Publish`, signed with AWS signature version 4.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::http::HttpConfig;
use crate::config::receiver::integration;
use crate::config::values::{NewFlag, Secret};
use crate::config::yaml::block;
use crate::message::{Answer, Step, judge};
use crate::render::{Context, query_escape};
use crate::sigv4::Signer;

block! {
    /// With which key a request is signed.
    SigV4 {
        region: String = String::new(),
        access_key: String = String::new(),
        secret_key: Secret = Secret::default(),
        profile: String = String::new(),
        role_arn: String = String::new(),
        external_id: String = String::new(),
        use_fips_sts_endpoint: NewFlag = NewFlag(false),
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
        use_aws_http_client: NewFlag = NewFlag(false),
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

/// Amazon refuses larger messages, and longer text messages to phones.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
const MAX_SMS_BYTES: usize = 1600;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

impl SnsConfig {
    fn advance(&self, context: &Context<'_>, answers: &[Answer]) -> Result<Step, String> {
        if let Some(answer) = answers.last() {
            return Ok(Step::Finished(judge(answer, &[], context.now)));
        }
        let sigv4 = &self.sigv4;
        if sigv4.region.is_empty() {
            return Err("region not configured in sns.sigv4.region".to_owned());
        }
        if sigv4.access_key.is_empty() || !sigv4.role_arn.is_empty() || !sigv4.profile.is_empty() {
            return Err(
                "sns: only sigv4.access_key and sigv4.secret_key are used; profile, role_arn and the credentials of the machine are not".to_owned(),
            );
        }
        let url = match context.text(&self.api_url)? {
            url if url.is_empty() => format!("https://sns.{}.amazonaws.com/", sigv4.region),
            url if url.ends_with('/') => url,
            url => format!("{url}/"),
        };
        let body = self.form(context)?.into_bytes();
        let after_scheme = url.split_once("//").map_or(url.as_str(), |(_, rest)| rest);
        let (host, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
        let signer = Signer {
            access_key: &sigv4.access_key,
            secret_key: sigv4.secret_key.reveal(),
            region: &sigv4.region,
            service: "sns",
            now: context.now,
        };
        let signed = signer.headers(host, &format!("/{path}"), FORM, &body);
        let http = self.http_config.as_ref();
        let mut request = context.request("POST", &url, FORM, body, http, Duration::ZERO)?;
        request.headers.extend(signed);
        Ok(Step::Request(Box::new(request)))
    }

    /// The parameters of `Publish`.
    fn form(&self, context: &Context<'_>) -> Result<String, String> {
        let mut pairs = vec![
            ("Action".to_owned(), "Publish".to_owned()),
            ("Version".to_owned(), "2010-03-31".to_owned()),
        ];
        let topic = context.text(&self.topic_arn)?;
        if topic.ends_with(".fifo") {
            for name in ["MessageDeduplicationId", "MessageGroupId"] {
                pairs.push((name.to_owned(), context.group_hash()));
            }
        }
        let phone = context.text(&self.phone_number)?;
        let limit = if phone.is_empty() {
            MAX_MESSAGE_BYTES
        } else {
            MAX_SMS_BYTES
        };
        let message = context.text(&self.message)?;
        let end = (0..=limit.min(message.len()))
            .rev()
            .find(|end| message.is_char_boundary(*end))
            .unwrap_or_default();
        for (name, value) in [
            ("TopicArn", topic),
            ("PhoneNumber", phone),
            ("TargetArn", context.text(&self.target_arn)?),
            ("Subject", context.text(&self.subject)?),
            ("Message", message[..end].to_owned()),
        ] {
            if !value.is_empty() {
                pairs.push((name.to_owned(), value));
            }
        }
        let mut attributes = Vec::new();
        for (name, value) in &self.attributes {
            attributes.push((context.text(name)?, context.text(value)?));
        }
        if end < message.len() {
            attributes.push(("truncated".to_owned(), "true".to_owned()));
        }
        for (index, (name, value)) in attributes.into_iter().enumerate() {
            let entry = format!("MessageAttributes.entry.{}", index + 1);
            pairs.push((format!("{entry}.Name"), name));
            pairs.push((format!("{entry}.Value.DataType"), "String".to_owned()));
            pairs.push((format!("{entry}.Value.StringValue"), value));
        }
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", query_escape(value).replace('+', "%20")))
            .collect();
        Ok(pairs.join("&"))
    }
}
