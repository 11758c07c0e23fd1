# Both planes for a few symbols, in the cheapest shape that does the whole job: one small machine for the broker, the smallest
# Postgres, one machine for Flink, and the dashboard runs while somebody looks at it.
symbols = ["BTCUSDT", "ETHUSDT"]
live = {
  producer  = { cpu = "1", memory_mib = 512 }
  broker    = { machine = "e2-small", memory_mib = 1280, disk_gib = 16 }
  postgres  = { tier = "db-f1-micro" }
  flink     = { machine = "e2-custom-2-4096", taskmanager_mib = 1536, disk = { type = "pd-standard", gib = 40 } }
  dashboard = { instances = 2 }
}
