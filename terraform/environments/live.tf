locals {
  topics = keys(jsondecode(file("${path.module}/../../src/bitcoin_pipeline/schemas/topics.json")))

  # The SASL users of the broker, each of one program, and what it may do. The groups are those of bitcoin_pipeline.names.
  broker_clients = {
    producer     = { account = "producer", reads = ["trades"], writes = ["trades", "trades.dlq"], groups = ["bitcoin-pipeline-tail"], creates = [] }
    candles      = { account = "candles-stream", reads = ["trades"], writes = ["trades.dlq"], groups = ["candles", "candles-lines", "candles-start"], creates = [] }
    archive-live = { account = "archive-live", reads = ["trades"], writes = [], groups = ["archive-live"], creates = [] }
    dashboard    = { account = "dashboard", reads = ["trades"], writes = [], groups = ["dashboard"], creates = [] }
    store-setup  = { account = "store-setup", reads = [], writes = [], groups = [], creates = local.topics }
  }

  # The logins of Postgres, each of one program, and the role (schemas/postgres/live.sql) that the set-up job gives it.
  postgres_logins = {
    candles      = { account = "candles-stream", role = "live_writer" }
    dashboard    = { account = "dashboard", role = "live_reader" }
    publish-live = { account = "publish-live", role = "live_publisher" }
  }
  postgres_owner = "store_setup"

  # The passwords, and the accounts that read each.
  passwords = !local.has_live ? {} : merge(
    { for user, client in local.broker_clients : "broker-${user}" => [client.account, "broker"] },
    { for login, client in local.postgres_logins : "postgres-${login}" => [client.account, "store-setup"] },
    {
      broker-admin   = ["broker"]
      postgres-owner = ["store-setup"]
    },
  )

  broker_ca_path   = "/secrets/broker/ca.pem"
  postgres_ca_path = "/secrets/postgres/ca.pem"

  # Only evaluated with a live plane.
  broker_environ = {
    for user, client in local.broker_clients : user => {
      KAFKA_BOOTSTRAP_SERVERS = one(module.broker[*].address)
      KAFKA_SSL_CA_LOCATION   = local.broker_ca_path
      KAFKA_SASL_USERNAME     = user
    }
  }
  postgres_environ = {
    for login in concat(keys(local.postgres_logins), ["store-setup"]) : login => {
      PGHOST        = one(module.postgres[*].host)
      PGDATABASE    = one(module.postgres[*].database)
      PGUSER        = login == "store-setup" ? local.postgres_owner : replace(login, "-", "_")
      PGSSLMODE     = "verify-ca"
      PGSSLROOTCERT = local.postgres_ca_path
    }
  }
  warehouse_environ = { GOOGLE_CLOUD_PROJECT = var.project, BIGQUERY_LOCATION = module.market.location }

  broker_file   = { for path in [local.broker_ca_path] : path => one(module.broker_ca[*].reference) if local.has_live }
  postgres_file = { for path in [local.postgres_ca_path] : path => one(module.postgres[*].ca) if local.has_live }

  live_environ = !local.has_live ? {} : {
    publish_live = merge(local.warehouse_environ, local.postgres_environ["publish-live"])
    archive_live = merge(local.broker_environ["archive-live"], { PIPELINE_LAKE = module.lake.lake })
    producer = merge(local.broker_environ["producer"], {
      PIPELINE_SYMBOLS      = join(",", var.symbols)
      PRODUCER_CONNECTIONS  = tostring(var.live.producer.connections)
      PIPELINE_EVENTS_TOPIC = module.events.topic
    })
    dashboard = merge(local.warehouse_environ, local.broker_environ["dashboard"], local.postgres_environ["dashboard"], {
      PIPELINE_SYMBOLS = join(",", var.symbols)
    })
    store_setup = merge(local.broker_environ["store-setup"], local.postgres_environ["store-setup"], {
      POSTGRES_LOGINS = join(",", [for login, client in local.postgres_logins : "${replace(login, "-", "_")}=${client.role}"])
    })
  }

  live_secrets = !local.has_live ? {} : {
    publish_live = { PGPASSWORD = module.password["postgres-publish-live"].reference }
    archive_live = { KAFKA_SASL_PASSWORD = module.password["broker-archive-live"].reference }
    producer     = { KAFKA_SASL_PASSWORD = module.password["broker-producer"].reference }
    dashboard    = { KAFKA_SASL_PASSWORD = module.password["broker-dashboard"].reference, PGPASSWORD = module.password["postgres-dashboard"].reference }
    store_setup = merge(
      { KAFKA_SASL_PASSWORD = module.password["broker-store-setup"].reference, PGPASSWORD = module.password["postgres-owner"].reference },
      { for login in keys(local.postgres_logins) : "POSTGRES_PASSWORD_${upper(replace(login, "-", "_"))}" => module.password["postgres-${login}"].reference },
    )
  }
}

locals {
  # The certificates of the authorities are files, at the paths that the variables name.
  live_programs = {
    for name, environ in local.live_environ : name => {
      environ = environ
      secrets = local.live_secrets[name]
      files = merge(
        contains(keys(environ), "KAFKA_SSL_CA_LOCATION") ? local.broker_file : {},
        contains(keys(environ), "PGSSLROOTCERT") ? local.postgres_file : {},
      )
    }
  }
}

module "generated" {
  source  = "../modules/generated"
  count   = local.has_live && !var.has_test_values ? 1 : 0
  project = var.project
  providers = {
    google = google.secrets
  }
}

locals {
  seed       = var.has_test_values ? var.test_values.seed : one(module.generated[*].seed)
  broker_tls = var.has_test_values ? var.test_values.broker_tls : one(module.generated[*].broker_tls)
}

# Passwords follow from one random text by the name of the secret.
module "password" {
  source   = "../modules/secret"
  for_each = local.passwords
  project  = var.project
  name     = each.key
  value    = sha256("${local.seed}:${each.key}:${var.secret_revision}")
  revision = var.secret_revision
  readers  = { for account in each.value : account => local.member[account] }
  labels   = var.labels
}

module "broker_tls" {
  source   = "../modules/secret"
  count    = local.has_live ? 1 : 0
  project  = var.project
  name     = "broker-tls"
  value    = local.broker_tls
  revision = var.secret_revision
  readers  = { broker = local.member["broker"] }
  labels   = var.labels
}

# The authority's certificate is public. It is a secret because Cloud Run mounts secrets as files.
module "broker_ca" {
  source   = "../modules/secret"
  count    = local.has_live ? 1 : 0
  project  = var.project
  name     = "broker-ca"
  value    = "${regexall("(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", local.broker_tls)[1]}\n"
  revision = var.secret_revision
  readers  = { for account in distinct(concat(["broker"], [for client in local.broker_clients : client.account])) : account => local.member[account] }
  labels   = var.labels
}

module "postgres" {
  source                  = "../modules/postgres"
  count                   = local.has_live ? 1 : 0
  project                 = var.project
  region                  = var.region
  network                 = module.network.services
  zone_name               = module.network.zone
  tier                    = var.live.postgres.tier
  disk_gib                = var.live.postgres.disk_gib
  owner                   = local.postgres_owner
  owner_password          = sha256("${local.seed}:postgres-owner:${var.secret_revision}")
  owner_password_revision = var.secret_revision
  clients                 = { for account in concat(["store-setup"], [for client in local.postgres_logins : client.account]) : account => local.member[account] }
  protected               = var.protected
  labels                  = var.labels
}

module "broker" {
  source         = "../modules/broker"
  count          = local.has_live ? 1 : 0
  project        = var.project
  region         = var.region
  zone           = local.zone
  network        = module.network.network
  subnetwork     = module.network.subnetwork
  client_range   = module.network.range
  zone_name      = module.network.zone
  image          = var.artifacts.images["redpanda"]
  machine        = var.live.broker.machine
  memory_mib     = var.live.broker.memory_mib
  disk_gib       = var.live.broker.disk_gib
  account        = local.email["broker"]
  admin_password = module.password["broker-admin"].reference
  tls            = module.broker_tls[0].reference
  clients = {
    for user, client in local.broker_clients : user => {
      password = module.password["broker-${user}"].reference
      reads    = client.reads
      writes   = client.writes
      groups   = client.groups
      creates  = client.creates
    }
  }
  protected = var.protected
  labels    = var.labels
}

# Creates topics, tables and logins. `make deploy` runs it after each apply; a second run changes nothing.
module "store_setup" {
  source          = "../modules/job"
  count           = local.has_live ? 1 : 0
  project         = var.project
  region          = var.region
  name            = "store-setup"
  image           = var.artifacts.images["store_setup"]
  account         = local.email["store-setup"]
  program         = local.live_programs["store_setup"]
  network         = local.network
  retries         = 3 # the broker of a first apply may still be starting
  timeout_seconds = 600
  labels          = var.labels
}

module "producer" {
  source  = "../modules/producer"
  count   = local.has_live ? 1 : 0
  project = var.project
  region  = var.region
  image   = var.artifacts.images["producer"]
  account = local.email["producer"]
  program = local.live_programs["producer"]
  network = local.network
  symbols = length(var.symbols)
  size    = { cpu = var.live.producer.cpu, memory_mib = var.live.producer.memory_mib }
  labels  = var.labels
}

module "candles_stream" {
  source          = "../modules/candles_stream"
  count           = local.has_live ? 1 : 0
  project         = var.project
  region          = var.region
  zone            = local.zone
  subnetwork      = module.network.subnetwork
  account         = local.email["candles-stream"]
  bundle          = { bucket = var.artifacts.bucket, object = var.artifacts.flink }
  machine         = var.live.flink.machine
  taskmanager_mib = var.live.flink.taskmanager_mib
  parallelism     = var.live.flink.parallelism
  disk            = var.live.flink.disk
  environ         = merge(local.broker_environ["candles"], local.postgres_environ["candles"])
  secrets = {
    kafka_password    = module.password["broker-candles"].reference
    kafka_ca          = module.broker_ca[0].reference
    postgres_password = module.password["postgres-candles"].reference
    postgres_ca       = module.postgres[0].ca
  }
  labels = var.labels

  # Its machine reads its bundle when it starts.
  depends_on = [google_storage_bucket_iam_member.artifact_reader]
}

# Functions that Cloud Scheduler calls, and nothing else; one call of each at a time.
module "live_function" {
  source = "../modules/function"
  for_each = !local.has_live ? {} : {
    publish_live = {
      description = "Merges live candles into BigQuery, and deletes old ones from Postgres"
      cpu         = "0.5"
      cron        = "*/2 * * * *"
    }
    archive_live = {
      description = "Writes the topic's trades to the lake, hour by hour"
      cpu         = "1"
      cron        = "5 * * * *"
    }
  }
  project     = var.project
  region      = var.region
  function    = each.key
  description = each.value.description
  source_code = local.source_code[each.key]
  account     = local.email[replace(each.key, "_", "-")]
  program     = local.live_programs[each.key]
  network     = local.network
  cpu         = each.value.cpu
  instances   = 1
  invokers    = { scheduler = local.member["scheduler"] }
  schedule    = { cron = each.value.cron, caller = local.email["scheduler"] }
  labels      = var.labels
}

module "dashboard" {
  source  = "../modules/dashboard"
  count   = local.has_live ? 1 : 0
  project = var.project
  region  = var.region
  image   = var.artifacts.images["dashboard"]
  account = local.email["dashboard"]
  program = local.live_programs["dashboard"]
  network = local.network
  size    = { cpu = var.live.dashboard.cpu, memory_mib = var.live.dashboard.memory_mib, instances = var.live.dashboard.instances }
  iap     = var.live.dashboard.iap
  viewers = var.dashboard_viewers

  project_number = data.google_project.this.number
  labels         = var.labels
}
