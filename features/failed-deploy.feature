Feature: Failed deploy

  A change that fails must be heard of by the team, whether it fails in the pipeline or in production, and the figures must tell how
  long the repair took.

  The times are arithmetic. The DORA exporter asks every minute, is scraped every 15 seconds, and ChangeFailureRateHigh holds for
  1 minute: 2.5 minutes at most after the failure. One failure after five good changes is 1 of 6 = 16.7 %, over the limit of 15 %;
  the repair makes it 1 of 7 = 14.3 %. A version that fails 40 % of the orders passes 7.2 % of the hour so far after 30 quiet minutes
  in 0.4 * x / (36 + x) = 0.072, that is 7.9 minutes, and 2 more for `for`.

  Background:
    Given the game day "failed-deploy"

  Scenario: a pipeline run fails, and the next one repairs it
    Given 5 changes went live in the last 5 days
    And the stack is quiet for 10 minutes
    When a pipeline run fails
    Then alert "ChangeFailureRateHigh" should be firing within 3 minutes with
      | severity   | warning   |
      | repository | acme/shop |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the query 'dora_open_failure_seconds' should exceed 1 minute within 2 minutes
    And the query 'sum(rate(http_requests_total{status_code=~"5.."}[5m])) or vector(0)' should fall below 0.001 within 15 seconds
    And the runbook of "ChangeFailureRateHigh" should exist with every required section
    When the page is acknowledged
    And a change goes live
    Then alert "ChangeFailureRateHigh" should resolve within 2 minutes
    And receiver "slack" should be told that it is resolved, with its duration
    And the query 'dora_open_failure_seconds' should fall below 1 within 1 minute
    And the query 'dora_time_to_restore_seconds{window="7d"}' should exceed 1 minute within 1 minute
    And the query 'dora_time_to_restore_seconds{window="7d"}' should fall below 1 hour within 1 minute
    And no other alert should have fired

  Scenario: a bad version goes live and is rolled back
    Given 4 changes went live in the last 4 days
    And the stack is quiet for 30 minutes
    When a change goes live
    And fault "bad-release" is injected
    Then alert "AvailabilityFastBurn" should be firing within 11 minutes with
      | severity | critical |
      | service  | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the query 'count by (version) (service_info{service="checkout", version="1.1.0"})' should exceed 0 within 15 seconds
    # The criterion of the runbook: errors passed 1 % of the requests since the last change went live.
    And the query 'sum(rate(http_requests_total{service="checkout", status_code=~"5.."}[5m])) / sum(rate(http_requests_total{service="checkout"}[5m]))' should exceed 0.01 within 15 seconds
    And the runbook of "AvailabilityFastBurn" should exist with every required section
    When the page is acknowledged
    And the last change is rolled back
    And fault "bad-release" is cleared
    Then alert "AvailabilityFastBurn" should resolve within 6 minutes
    And receiver "slack" should be told that it is resolved, with its duration
    And the SLI of "checkout-availability" should be back within 6 minutes
    And alert "ChangeFailureRateHigh" should be firing within 12 minutes
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the query 'dora_changes{outcome="rolled_back"}' should exceed 0 within 1 minute
    And the query 'dora_time_to_restore_seconds{window="7d"}' should exceed 1 minute within 1 minute
    And the query 'dora_time_to_restore_seconds{window="7d"}' should fall below 1 hour within 1 minute
    And no other alert should have fired

  Scenario: nobody knows how deliveries go, and somebody is told
    Given 5 changes went live in the last 5 days
    And the stack is quiet for 10 minutes
    When the API of the pipeline answers 500 for 1 hour, with a page of HTML
    # The exporter asks every minute, is scraped every 15 seconds, and the alert holds for 10 minutes.
    Then alert "DeliveryUnknown" should be firing within 11 minutes 45 seconds with
      | severity | warning  |
      | service  | delivery |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the runbook of "DeliveryUnknown" should exist with every required section
    # The last figures stand: what is old is said to be old, and not taken for bad.
    And the query 'dora_change_failure_rate{window="7d"}' should fall below 0.01 within 15 seconds
    And the query 'sum(dora_exporter_errors_total{reason="status"})' should exceed 5 within 15 seconds
    When the API of the pipeline answers again
    Then alert "DeliveryUnknown" should resolve within 2 minutes
    And receiver "slack" should be told that it is resolved, with its duration
    And no other alert should have fired

  Scenario: the pipeline itself pushes what became of a deployment
    Given 5 changes went live in the last 5 days
    And the stack is quiet for 10 minutes
    When the pipeline replaces the metrics of "job/deploy/environment/production" with
      | deployment_success          | 0   |
      | deployment_duration_seconds | 312 |
    # Scraped within 15 seconds, and the alert holds for a minute.
    Then alert "DeploymentFailed" should be firing within 1 minute 45 seconds with
      | severity    | warning    |
      | environment | production |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the query 'time() - push_time_seconds{job="deploy"}' should fall below 300 within 15 seconds
    # POST leaves alone what it does not name, PUT does not.
    When the pipeline adds to the metrics of "job/deploy/environment/production"
      | deployment_success | 1 |
    Then alert "DeploymentFailed" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration
    And the query 'deployment_duration_seconds' should exceed 300 within 15 seconds
    When the pipeline replaces the metrics of "job/deploy/environment/production" with
      | deployment_success | 1 |
    Then the query 'absent(deployment_duration_seconds)' should exceed 0 within 30 seconds
    And the query 'deployment_success' should exceed 0 within 15 seconds
    When the pipeline deletes the metrics of "job/deploy/environment/production"
    Then the query 'absent(deployment_success)' should exceed 0 within 30 seconds
    And no other alert should have fired
