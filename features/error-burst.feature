Feature: Error burst

  A database that fails every order must page within minutes, and the way from the page must be short: the errors by endpoint point
  at /api/checkout, an error log line leads to its trace, the trace to the query that failed.

  The times are arithmetic: after 30 quiet minutes a service whose every request fails passes 14.4 * 0.5 % = 7.2 % of a one-hour
  window after 2.33 minutes (x / (30 + x) = 0.072), and the alert holds for 2 more minutes. The front door, of whose requests half
  are checkouts, follows after 5.05 minutes (x / 2 / (30 + x) = 0.072). Their 5-minute windows are below 7.2 % again 4.65 minutes
  (5 * (1 - 0.072)) and 4.3 minutes (5 * (1 - 0.144)) after the fault is gone.

  Background:
    Given the game day "error-burst"
    And the stack is quiet for 30 minutes

  Scenario: every order fails, and the page leads to the failing query
    When fault "failing-orders-db" is injected
    Then alert "AvailabilityFastBurn" should become pending within 3 minutes
    And alert "AvailabilityFastBurn" should be firing within 5 minutes with
      | severity | critical |
      | service  | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the burn rate of "checkout-availability" over 1h should exceed 14.4
    And alert "AvailabilityFastBurn" should fire within 15 seconds of its earliest moment
    When the page is acknowledged
    Then the largest 'sum by (endpoint) (rate(http_requests_total{service="frontend", status_code=~"5.."}[5m]))' by 'endpoint' should be '/api/checkout'
    And an error log line of "frontend" should lead to a trace whose failing span is "db.query" of "checkout"
    And the failing edge of the service graph should lead from "checkout" to "orders"
    And the root cause of "GET /api/checkout" of "frontend" should be "db.query" of "checkout"
    And the runbook of "AvailabilityFastBurn" should exist with every required section
    When fault "failing-orders-db" is cleared
    Then alert "AvailabilityFastBurn" should resolve within 6 minutes
    And receiver "slack" should be told that it is resolved
    And the SLI of "checkout-availability" should be back within 6 minutes
    And no other alert should have fired
