Feature: Lost dependency

  A partition is the quiet kind of failure: nothing answers, nothing refuses. Half of the front door's requests are checkouts, which
  fail after the 5 s that checkout waits for payments: 7.2 % of an hour is passed after 5.05 minutes (x / 2 / (30 + x) = 0.072). Broken
  connections of users fail 20 % of the requests (0.4 of the mix, half of them): a longer way, 16.9 minutes
  (0.2 * x / (30 + x) = 0.072).

  Background:
    Given the game day "lost-dependency"
    And the stack is quiet for 30 minutes

  Scenario: payments cannot be reached
    When fault "payments-unreachable" is injected
    Then alert "AvailabilityFastBurn" should be firing within 9 minutes with
      | service | frontend |
    And receiver "slack" should be notified of it within 1 minute, with its value, dashboard and runbook
    And an error log line of "frontend" should lead to a trace whose failing span is "POST /payments" of "checkout"
    And the failing edge of the service graph should lead from "checkout" to "payments"
    When fault "payments-unreachable" is cleared
    Then alert "AvailabilityFastBurn" should resolve within 6 minutes
    And receiver "slack" should be told that it is resolved

  Scenario: users breaks its connections
    When fault "users-abort" is injected
    Then alert "AvailabilityFastBurn" should be firing within 21 minutes with
      | service | frontend |
    And receiver "slack" should be notified of it within 1 minute, with its value, dashboard and runbook
    And the largest 'sum by (endpoint) (rate(http_requests_total{service="frontend", status_code=~"5.."}[5m]))' by 'endpoint' should be '/api/users'
    When fault "users-abort" is cleared
    Then alert "AvailabilityFastBurn" should resolve within 6 minutes
