# From above: is somebody affected, is the API the cause, is it the database, do the runbooks do their work.

locals {
  region = data.aws_region.current.name

  graphs = concat(
    [
      {
        title = "Requests and errors"
        stat  = "Sum"
        metrics = [
          for metric in ["RequestCount", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count", "HTTPCode_Target_4XX_Count"] :
          ["AWS/ApplicationELB", metric, "LoadBalancer", var.balancer]
        ]
      },
      {
        title   = "Latency of the API (seconds, 95th percentile)"
        stat    = "p95"
        metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.balancer]]
      },
      {
        title = "Tasks behind the load balancer"
        stat  = "Maximum"
        metrics = [
          for pair in setproduct(keys(var.target_groups), ["HealthyHostCount", "UnHealthyHostCount"]) :
          ["AWS/ApplicationELB", pair[1], "TargetGroup", var.target_groups[pair[0]], "LoadBalancer", var.balancer]
        ]
      },
      {
        title = "CPU and memory of the tasks (per cent)"
        stat  = "Average"
        metrics = [
          for metric in ["CPUUtilization", "MemoryUtilization"] :
          ["AWS/ECS", metric, "ClusterName", var.service.cluster, "ServiceName", var.service.name]
        ]
      },
    ],
    [
      for title, metric in {
        "CPU of the databases (per cent)"          = "CPUUtilization"
        "Free storage of the databases (bytes)"    = "FreeStorageSpace"
        "Connections of the databases"             = "DatabaseConnections"
        "Latency of the databases (read, seconds)" = "ReadLatency"
        } : {
        title   = title
        stat    = "Average"
        metrics = [for database in values(var.databases) : ["AWS/RDS", metric, "DBInstanceIdentifier", database.instance_id]]
      }
    ],
    [
      {
        title = "Runbooks and background jobs that did not succeed"
        stat  = "Sum"
        metrics = [
          for pair in setproduct(keys(var.runbooks), ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"]) :
          ["AWS/States", pair[1], "StateMachineArn", var.runbooks[pair[0]]]
        ]
      },
      {
        title = "Web app"
        stat  = "Sum"
        # CloudFront reports to us-east-1 only, whatever the environment's region.
        metrics = [
          ["AWS/CloudFront", "Requests", "Region", "Global", "DistributionId", var.distribution_id, { region = "us-east-1" }],
          ["AWS/CloudFront", "5xxErrorRate", "Region", "Global", "DistributionId", var.distribution_id, { region = "us-east-1", stat = "Average" }],
        ]
      },
    ],
    [
      for firewall in var.firewall[*] : {
        title   = "Requests that the firewall blocked"
        stat    = "Sum"
        metrics = [["AWS/WAFV2", "BlockedRequests", "WebACL", firewall, "Region", local.region, "Rule", "ALL"]]
      }
    ],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type   = "alarm"
        x      = 0
        y      = 0
        width  = 24
        height = 4
        properties = {
          title  = "Alarms"
          alarms = local.alarm_arns
        }
      }],
      [
        for number, graph in local.graphs : {
          type   = "metric"
          x      = number % 2 * 12
          y      = 4 + floor(number / 2) * 6
          width  = 12
          height = 6
          properties = {
            title   = graph.title
            view    = "timeSeries"
            region  = local.region
            stat    = graph.stat
            period  = 60
            metrics = graph.metrics
          }
        }
      ],
    )
  })
}
