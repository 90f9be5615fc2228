data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

resource "aws_ssm_parameter" "manifest" {
  #checkov:skip=CKV2_AWS_34:The document has names and ARNs and no secret; plans and people may read it

  name        = "/know-me/${var.environment}/manifest"
  description = "What exists in the environment, for the runbooks"
  type        = "String"
  tier        = "Intelligent-Tiering" # the standard tier ends at 4 KB, which a few generations reach

  # insecure_value: the document names secrets and contains none, so a plan may show it.
  insecure_value = jsonencode(merge(
    {
      version     = 1
      environment = var.environment
      region      = data.aws_region.current.name
      account_id  = data.aws_caller_identity.current.account_id
    },
    var.document,
  ))
}
