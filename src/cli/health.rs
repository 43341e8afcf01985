//! `omnistack health`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{Context, Failure};

/// Ask a running server whether it is ready; made for container health checks
#[derive(Args)]
pub(super) struct Health {
    /// Ask this server instead of the one that the configuration describes
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl Health {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let base = match self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", context.load()?.config.server.listen),
        };
        let url = format!("{base}/api/v1/public/health/ready");
        let body = ask(&url).map_err(|error| {
            Failure::check(format!("{base} does not answer: {error}"))
                .with("Is the server running? Start it with: omnistack serve")
        })?;
        let healthy = body["status"] == "healthy";
        context.out.value(&body, text)?;
        if healthy { Ok(()) } else { Err(Failure::check(format!("{base} is not ready"))) }
    }
}

#[expect(clippy::disallowed_methods, reason = "asks one's own server, which no guard or breaker should come between")]
fn ask(url: &str) -> Result<Value, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).http_status_as_error(false);
    let mut response = ureq::Agent::from(config.build()).get(url).call().map_err(|error| error.to_string())?;
    let body = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
    serde_json::from_str(&body).map_err(|_| "what it answers is not the health of OmniStack".into())
}

fn text(body: &Value) -> String {
    let mut text = format!("{}\n", body["status"].as_str().unwrap_or("unknown"));
    for (name, component) in body["components"].as_object().into_iter().flatten() {
        let status = component["status"].as_str().unwrap_or("unknown");
        text += format!("  {name:12} {status}  {}", component["remedy"].as_str().unwrap_or_default()).trim_end();
        text.push('\n');
    }
    text
}
