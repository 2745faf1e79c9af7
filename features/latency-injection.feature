Feature: Latency injection

  A slow database behind checkout must burn the latency budget, page the owner with a runbook that helps, and lead from a log
  line to the slow span.

  The times are arithmetic: after 30 quiet minutes a service whose every request is slow passes 14.4 % of a one-hour window
  after 5.05 minutes (x / (30 + x) = 0.144); the alert holds for 2 more minutes; its 5-minute window is clean again 4.3
  minutes after the fault is gone.

  Background:
    Given the game day "latency-injection"
    And the stack is quiet for 30 minutes

  Scenario: a slow database burns the latency budget and pages the owner
    When fault "slow-checkout-db" is injected
    Then alert "LatencyFastBurn" should become pending within 6 minutes
    And alert "LatencyFastBurn" should be firing within 8 minutes with
      | severity | critical |
      | service  | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the burn rate of "checkout-latency" over 1h should exceed 14.4
    And alert "LatencyFastBurn" should fire within 15 seconds of its earliest moment
    When the page is acknowledged
    Then a warning log line of "checkout" should lead to a trace whose slowest span is "db.query"
    And the runbook of "LatencyFastBurn" should exist with every required section
    When fault "slow-checkout-db" is cleared
    Then alert "LatencyFastBurn" should resolve within 6 minutes
    And receiver "slack" should be told that it is resolved
    And the SLI of "checkout-latency" should be back within 6 minutes
    And no other alert should have fired
