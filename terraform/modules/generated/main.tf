# The random values of a project, which bootstrap has stored: read anew in each plan and apply, and never part of either. As all
# passwords follow from the stored text, an apply that broke off continues with the same ones.
ephemeral "google_secret_manager_secret_version" "this" {
  project = var.project
  secret  = "generated"
}
