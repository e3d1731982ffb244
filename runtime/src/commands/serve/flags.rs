//! The flags of a host: each says what the file can say too, and counts more.

use std::str::FromStr;

use sunaba_runtime::config::{Layers, collector, factor, listen_address};
use sunaba_runtime::task::{AddressBlock, Durability, parse_duration};
use sunaba_runtime::{AllowedDir, MemoryBudget, RuleSetting};

use crate::commands::permits::OperatorArgs;

/// Checks what was typed, and keeps it as it is.
fn said<T, E: ToString>(read: fn(&str) -> Result<T, E>) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| read(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the queue; made if it is not there [env: SUNABA_DATA] [default: sunaba-data]
    // A path that is no text would be another one in the configuration: it is refused.
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<String>,
    /// Where the API listens; port 0 takes any that is free [env: SUNABA_LISTEN] [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS", value_parser = said(listen_address))]
    listen: Option<String>,
    /// Answer only to those who have a key, on a loopback address too; on any other that is so anyway [env: SUNABA_REQUIRE_KEYS]
    #[arg(long, conflicts_with = "insecure_no_keys")]
    require_keys: bool,
    /// Let whoever reaches an address that is not loopback do everything, without a key [env: SUNABA_INSECURE_NO_KEYS]
    #[arg(long)]
    insecure_no_keys: bool,
    /// A name by which requests may call the host, besides `localhost` and addresses: that of a proxy, or its own in a network
    /// [env: SUNABA_ALLOW_HOST]
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Attempts at a time [env: SUNABA_CONCURRENCY] [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=512))]
    concurrency: Option<u16>,
    /// What all attempts at a time may hold of the machine's memory: a size, or a part of what there is [env:
    /// SUNABA_MEMORY_BUDGET] [default: 75%]
    #[arg(long, value_name = "SIZE|PERCENT", value_parser = said(MemoryBudget::from_str))]
    memory_budget: Option<String>,
    /// How many times over that budget is given to attempts, from 1 to 100: for those that do not use what they may [env:
    /// SUNABA_OVERSUBSCRIBE] [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = said(factor))]
    oversubscribe: Option<String>,
    /// A directory out of which submitters may grant, read-only with `:ro`; none by default [env: SUNABA_ALLOW_DIR]
    #[arg(long, value_name = "ROOT[:ro]", value_parser = said(AllowedDir::from_str))]
    allow_dir: Vec<String>,
    /// Let tasks run what their package has at each attempt, unless they are submitted with `--pin` [env: SUNABA_FOLLOW_ACTIVE]
    /// [default: they are pinned to what it has when they are submitted]
    #[arg(long)]
    follow_active: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    /// When what the host answers is on stable storage: `sync`, before the answer, or `relaxed(50ms)`, so long after it, which
    /// a crash loses [env: SUNABA_DURABILITY] [default: sync]
    #[arg(long, value_parser = said(Durability::from_str))]
    durability: Option<String>,
    /// How long attempts have to end at a stop; what does not is handed back [env: SUNABA_GRACE] [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = said(parse_duration))]
    grace: Option<String>,
    /// Another value for an alert rule, such as `failure-percent=20`, `queue-wait=5m` or `min-workers=2` [env: SUNABA_ALERT]
    #[arg(long, value_name = "NAME=VALUE", value_parser = said(RuleSetting::from_str))]
    alert: Vec<String>,
    /// Where spans of tasks are sent, over OTLP/HTTP: a collector, such as `http://127.0.0.1:4318`; OTEL_EXPORTER_OTLP_ENDPOINT
    /// says it, too [env: SUNABA_OTLP_ENDPOINT] [default: none]
    #[arg(long, value_name = "URL", value_parser = said(collector))]
    otlp_endpoint: Option<String>,
    /// An address that is not public, or a block of them such as `10.0.0.0/8`, to which webhooks may go; none by default [env:
    /// SUNABA_WEBHOOK_ALLOW]
    #[arg(long, value_name = "CIDR", value_parser = said(AddressBlock::from_str))]
    webhook_allow: Vec<String>,
    /// Let webhooks go without encryption [env: SUNABA_WEBHOOK_HTTP]
    #[arg(long)]
    webhook_http: bool,
    /// How often the host is looked at for alerts and its history
    #[arg(long, value_parser = parse_duration, default_value = "10s", hide = true)]
    pub(super) watch_interval: std::time::Duration,
    /// How long the tasks of a host that was lost wait for another attempt
    #[arg(long, value_parser = parse_duration, default_value = "30s", hide = true)]
    pub(super) lease_time: std::time::Duration,
}

impl Args {
    /// Lays what was typed over the other layers.
    pub(super) fn lay_over(&self, layers: &mut Layers) {
        layers.flag("host.data", self.data.clone());
        layers.flag("host.listen", self.listen.clone());
        layers.flag("host.require-keys", self.require_keys.then(|| "true".to_owned()));
        layers.flag("host.insecure-no-keys", self.insecure_no_keys.then(|| "true".to_owned()));
        layers.flag("host.allow-host", self.allow_host.iter().cloned());
        layers.flag("host.concurrency", self.concurrency.map(|slots| slots.to_string()));
        layers.flag("host.memory-budget", self.memory_budget.clone());
        layers.flag("host.oversubscribe", self.oversubscribe.clone());
        layers.flag("host.follow-active", self.follow_active.then(|| "true".to_owned()));
        layers.flag("host.durability", self.durability.clone());
        layers.flag("host.grace", self.grace.clone());
        layers.flag("host.alerts", self.alert.iter().cloned());
        layers.flag("telemetry.endpoint", self.otlp_endpoint.clone());
        layers.flag("host.webhook-allow", self.webhook_allow.iter().cloned());
        layers.flag("host.webhook-http", self.webhook_http.then(|| "true".to_owned()));
        layers.flag("grants.dirs", self.allow_dir.iter().cloned());
        self.operator.lay_over(layers);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use sunaba_runtime::config::SETTINGS;

    #[test]
    fn every_setting_is_a_flag_whose_help_names_its_variable() {
        let mut command = crate::Cli::command();
        command.build();
        let serve = command.find_subcommand("serve").expect("it is there");
        for setting in SETTINGS {
            let name = setting.flag.trim_start_matches("--");
            let flag = serve.get_arguments().find(|flag| flag.get_long() == Some(name));
            let flag = flag.unwrap_or_else(|| panic!("`{}` is no flag", setting.flag));
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("[env: {}]", setting.env)), "{}: {help}", setting.flag);
            // Of a switch the default is `false`, and says nothing.
            let says_nothing = flag.get_default_values().is_empty() || !flag.get_action().takes_values();
            assert!(says_nothing, "{}: its default would count as a flag", setting.flag);
        }
    }
}
