provider "aws" {
  region = var.region
  # Credentials of another account stop here.
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      deployment  = var.name
      environment = var.environment
      managed_by  = "terraform"
    }
  }
}

# Who applies is found by the provider's own chain: DATABRICKS_AUTH_TYPE, DATABRICKS_CLIENT_ID and so on.
provider "databricks" {
  host = var.databricks_host
}
