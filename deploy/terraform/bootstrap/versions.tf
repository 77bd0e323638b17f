terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.25.0"
    }
    databricks = {
      source  = "databricks/databricks"
      version = "1.99.0"
    }
  }

  # None at first: README.md says how the state moves into the bucket that this makes.
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = { deployment = var.name, environment = var.environment, managed_by = "terraform-bootstrap" }
  }
}

# Asked only where `databricks` is set. Who applies is found by the provider's own chain.
provider "databricks" {
  host = try(var.databricks.host, null)
}

provider "databricks" {
  alias      = "account"
  host       = "https://accounts.cloud.databricks.com"
  account_id = try(var.databricks.account_id, null)
}
