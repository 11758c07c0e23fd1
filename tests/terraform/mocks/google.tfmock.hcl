# What Google would compute, in the forms that other resources check. Names are those of the project that the tests name.
mock_data "google_project" {
  defaults = { number = "123456789012" }
}

mock_resource "google_compute_network" {
  defaults = { id = "projects/demo-project/global/networks/pipeline" }
}

mock_resource "google_compute_subnetwork" {
  defaults = { id = "projects/demo-project/regions/europe-west1/subnetworks/pipeline" }
}

mock_resource "google_compute_disk" {
  defaults = { id = "projects/demo-project/zones/europe-west1-b/disks/broker-data" }
}

mock_resource "google_compute_address" {
  defaults = { address = "10.10.0.2" }
}

mock_resource "google_pubsub_topic" {
  defaults = { id = "projects/demo-project/topics/market-events" }
}

mock_resource "google_secret_manager_secret_version" {
  defaults = { version = "1" }
}

mock_resource "google_sql_database_instance" {
  defaults = {
    private_ip_address = "10.20.0.3"
    server_ca_cert     = [{ cert = "-----BEGIN CERTIFICATE-----" }]
  }
}

mock_resource "google_cloudfunctions2_function" {
  defaults = { service_config = { uri = "https://function.example.run.app" } }
}

mock_resource "google_cloud_run_v2_service" {
  defaults = { uri = "https://dashboard.example.run.app" }
}

mock_resource "google_service_account" {
  defaults = {
    name   = "projects/demo-project/serviceAccounts/account@demo-project.iam.gserviceaccount.com"
    email  = "account@demo-project.iam.gserviceaccount.com"
    member = "serviceAccount:account@demo-project.iam.gserviceaccount.com"
  }
}

mock_resource "google_monitoring_notification_channel" {
  defaults = { id = "projects/demo-project/notificationChannels/1" }
}
