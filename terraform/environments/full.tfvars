# Both planes for ten symbols and many viewers, with Composer in place of the daily job.
symbols = [
  "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "1000PEPEUSDT", "ADAUSDT", "LINKUSDT", "AVAXUSDT", "LTCUSDT",
]
live = {
  producer  = { cpu = "2", memory_mib = 1024, connections = 2 }
  broker    = { machine = "e2-standard-2", memory_mib = 5120, disk_gib = 200 }
  postgres  = { tier = "db-custom-1-3840", disk_gib = 20 }
  flink     = { machine = "e2-standard-4", taskmanager_mib = 8192, parallelism = 4 }
  dashboard = { cpu = "2", memory_mib = 2048, instances = 10, iap = true }
}
composer  = { image_version = "composer-3-airflow-3.1.0-build.1" }
flow_logs = true
