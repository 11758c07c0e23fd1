output "environ" {
  description = "Environment variables of each deployable. The value of a secret is its name: secret:NAME."
  value = merge(
    {
      fetch_archive = module.fetch_archive.environ
      command       = local.command_environ
      dags          = local.dags_environ
    },
    {
      for name, environ in local.live_environ : name =>
      merge(environ, { for variable, each in local.live_secrets[name] : variable => "secret:${each.secret}" })
    },
    !local.has_live ? {} : { candles_job = module.candles_stream[0].environ },
  )
}

output "dashboard_url" {
  description = "Address of the dashboard; null without a live plane."
  value       = one(module.dashboard[*].url)
}

output "airflow_url" {
  description = "Address of Airflow's page; null without Composer."
  value       = one(module.composer[*].url)
}

output "dags_bucket" {
  description = "Bucket whose folder dags/ takes the DAGs; null without Composer."
  value       = one(module.composer[*].bucket)
}

output "service_accounts" {
  description = "Emails of the accounts."
  value       = local.email
}

output "producer" {
  description = "Worker pool of the producer; null without a live plane."
  value       = one(module.producer[*].worker_pool)
}

output "flink_cluster" {
  description = "Dataproc cluster of the job candles; null without a live plane."
  value       = one(module.candles_stream[*].cluster)
}

output "store_setup_job" {
  description = "Job that is run after an apply; null without a live plane."
  value       = one(module.store_setup[*].name)
}

output "daily_job" {
  description = "Job of the daily schedule; null with Composer."
  value       = one(module.daily[*].name)
}

output "project" {
  description = "Project of the environment."
  value       = var.project
}

output "region" {
  description = "Region of the environment."
  value       = var.region
}

output "broker_rules" {
  description = "What each user of the broker may do; null without a live plane."
  value       = one(module.broker[*].rules)
}
