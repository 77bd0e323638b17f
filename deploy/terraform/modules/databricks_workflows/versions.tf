terraform {
  required_version = ">= 1.11"

  required_providers {
    databricks = {
      source                = "databricks/databricks"
      version               = "~> 1.99"
      configuration_aliases = [databricks.account]
    }
  }
}
