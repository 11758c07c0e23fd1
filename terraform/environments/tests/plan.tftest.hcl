# The plan of an environment by the real provider, which needs no credentials for it: terraform test -var-file=small.tfvars
# with any text in GOOGLE_OAUTH_ACCESS_TOKEN. tests/terraform reads the plans of all environments.
provider "google" {
  project = "demo-project"
  region  = "europe-west1"
}
override_data {
  target = data.google_project.this
  values = { number = "123456789012" }
}

variables {
  project = "demo-project"
  artifacts = {
    bucket   = "demo-project-artifacts"
    builder  = "projects/demo-project/serviceAccounts/builder@demo-project.iam.gserviceaccount.com"
    registry = "projects/demo-project/locations/europe-west1/repositories/pipeline"
    functions = {
      fetch_archive = "functions/fetch_archive-0000000000000000000000000000000000000000000000000000000000000000.zip"
      publish_live  = "functions/publish_live-0000000000000000000000000000000000000000000000000000000000000000.zip"
      archive_live  = "functions/archive_live-0000000000000000000000000000000000000000000000000000000000000000.zip"
    }
    batch = {
      main  = "dataproc_jobs/candles-0000000000000000000000000000000000000000000000000000000000000000/main.py"
      files = ["dataproc_jobs/candles-0000000000000000000000000000000000000000000000000000000000000000/candles_batch.zip"]
    }
    flink = "flink/candles-0000000000000000000000000000000000000000000000000000000000000000.zip"
    images = {
      producer    = "europe-west1-docker.pkg.dev/demo-project/pipeline/producer@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      dashboard   = "europe-west1-docker.pkg.dev/demo-project/pipeline/dashboard@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      store_setup = "europe-west1-docker.pkg.dev/demo-project/pipeline/store_setup@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      command     = "europe-west1-docker.pkg.dev/demo-project/pipeline/command@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      redpanda    = "europe-west1-docker.pkg.dev/demo-project/pipeline/redpanda:v25.3.1@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    }
  }
  has_test_values = true
  test_values = {
    seed       = "0123456789abcdef0123456789abcdef"
    broker_tls = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nb\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\na\n-----END CERTIFICATE-----\n"
  }
  alerts            = { email = "ops@example.com" }
  budget            = { billing_account = "012345-6789AB-CDEF01", currency = "EUR", amount = 150 }
  dashboard_viewers = ["user:viewer@example.com"]
  operators         = ["user:operator@example.com"]
}

run "plan" {
  command = plan
}
