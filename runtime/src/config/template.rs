//! What `sunaba config init` writes: every section with an example, of which nothing is in force.

/// A file to begin with. It is valid as it stands, and with every example in force.
pub const TEMPLATE: &str = r##"# The configuration of sunaba. A flag counts more than a variable, a variable more than this file.
# `sunaba config show --origin` tells what is in force and why; `sunaba config validate` what is wrong.
# Durations are written `30s` or `5m`, sizes `64MiB`. A path is meant from the folder of this file.

# Where commands look for the host.                                   SUNABA_ADDRESS  --address
#address = "http://127.0.0.1:7878"

[host]
# The directory of the queue; made if it is not there.                SUNABA_DATA  --data
#data = "sunaba-data"
# Where the API listens.                                              SUNABA_LISTEN  --listen
#listen = "127.0.0.1:7878"
# Only those are answered who have a key, on loopback, too.           SUNABA_REQUIRE_KEYS  --require-keys
#require-keys = false
# Whoever reaches an address that is not loopback may do everything.  SUNABA_INSECURE_NO_KEYS  --insecure-no-keys
#insecure-no-keys = false
# Names by which requests may call the host: a proxy's, or its own.   SUNABA_ALLOW_HOST  --allow-host
#allow-host = ["queue.example.com"]
# Attempts at a time; "auto" is one for each core.                    SUNABA_CONCURRENCY  --concurrency
#concurrency = "auto"
# What all attempts at a time may hold of the machine's memory.       SUNABA_MEMORY_BUDGET  --memory-budget
#memory-budget = "75%"
# How many times over that is given to attempts, 1 to 100.            SUNABA_OVERSUBSCRIBE  --oversubscribe
#oversubscribe = 1.0
# Tasks run what their package has at each attempt.                   SUNABA_FOLLOW_ACTIVE  --follow-active
#follow-active = false
# "sync", or "relaxed(50ms)", which a crash loses.                    SUNABA_DURABILITY  --durability
#durability = "sync"
# How long attempts have to end at a stop.                            SUNABA_GRACE  --grace
#grace = "30s"
# Other values for alert rules.                                       SUNABA_ALERT  --alert
#alerts = ["failure-percent=20", "queue-wait=5m"]
# Addresses that are not public, to which webhooks may go.            SUNABA_WEBHOOK_ALLOW  --webhook-allow
#webhook-allow = ["10.0.0.0/8"]
# Webhooks may go without encryption.                                 SUNABA_WEBHOOK_HTTP  --webhook-http
#webhook-http = false

[telemetry]
# Where spans of tasks are sent, over OTLP/HTTP; "none" for nowhere.  SUNABA_OTLP_ENDPOINT  --otlp-endpoint
#endpoint = "http://127.0.0.1:4318"

# What no task may pass, by the names of limits.                      SUNABA_MAX  --max
[limits]
#timeout = "10m"
#memory = "1GiB"

# What submitters may pass on to their tasks.
[grants]
# Directories out of which they may grant; read-only with `:ro`.      SUNABA_ALLOW_DIR  --allow-dir
#dirs = ["/srv/data:ro"]
# Places for requests.                                                SUNABA_ALLOW_HTTP  --allow-http
#http = ["https://api.example.com"]
# Where secrets are and where they go; never the secret itself.       SUNABA_SECRET  --secret
#secrets = ["API_TOKEN=env:API_TOKEN@https://api.example.com"]
# The largest scratch directory of an attempt; "0" for none.          SUNABA_MAX_SCRATCH  --max-scratch
#scratch = "1GiB"
# The fine clock.                                                     SUNABA_ALLOW_FINE_CLOCK  --allow-fine-clock
#fine-clock = false
# Files of certificate authorities, in PEM.                           SUNABA_HTTP_CA  --http-ca
#http-ca = ["authorities.pem"]

# What a section below names is in force whenever the host starts or reloads (SIGHUP). What is changed while it runs
# (`sunaba queue set`, the API) holds until then, and what no section names is never touched. `"none"` takes a limit away.

#[queues.mail]
#concurrency = 4
#key-concurrency = 1
#rate = "100/1s"
#key-rate = "5/1m"
#weight = 3
#max-depth = 100000
#aging = "1m"
#paused = false
#limits = { timeout = "30s", memory = "64MiB" }

#[handlers."words/word-count"]
#concurrency = 2
#breaker = "50%/20, 30s"
#paused = false

#[retention]
#result = "1h"
#succeeded = "7d"
#cancelled = "7d"
#expired = "7d"
#dead = "none"

# Who is told of what happens. Without `secret` the host makes one: `sunaba webhook rotate NAME` replaces it, and prints it.
#[webhooks.billing]
#url = "https://example.com/hooks"
#events = ["task.dead", "job.*"]
#queues = ["mail"]
#handlers = ["words/word-count"]
#tags = ["vip"]
#enabled = true
#secret = "file:billing.secret"

# Components that are deployed when the host starts or reloads.
#[packages.words]
#component = "words.wasm"
#allow-widening = false
#allow-signature-change = false

# Without a worker group, one serves all queues. Each has slots of its own; `slots = "1..8"` has as many as its backlog needs.
# `env` and `dirs` are granted to every attempt here whose handler asks for them.
#[workers.fast]
#queues = ["mail", "default"]
#slots = 4
#max-slots = 8
#timeout = "30s"
#memory-budget = "25%"
#limits = { memory = "64MiB" }
#env = { REGION = "eu" }
#dirs = ["/srv/models::/models"]
#[workers.slow]
#slots = "1..4"
"##;
