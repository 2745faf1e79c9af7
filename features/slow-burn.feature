Feature: Slow burn

  What fails a little for hours spends the budget of a month in days. The fast burn must not page for it; the slower alerts must, each
  at its own moment: 6 times the budget over 6 hours and 30 minutes, 3 times over a day and 2 hours, once over 3 days and 6 hours.

  The times are arithmetic. After 2 quiet hours a share of 5 % failing passes 6 * 0.5 % = 3 % of the time so far after
  0.05 * x / (2 + x) = 0.03, that is 3 hours, and holds for 15 minutes; 1.5 % after 51 minutes, and an hour; 0.5 % after 13 minutes,
  and 3 hours. With 10 % slow requests and a budget of 1 % they are the same times twice the shares. The first to speak is the
  warning about the present: more than 1 % errors, or a 95th percentile over 500 ms, for 15 minutes.

  Background:
    Given the game day "slow-burn"
    And the stack is quiet for 2 hours
    And alert "AvailabilityFastBurn" is inactive

  Scenario: one request in twenty fails for hours
    When fault "one-in-twenty-fails" is injected
    Then alert "HighErrorRate" should be firing within 22 minutes with
      | severity | warning  |
      | service  | frontend |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the runbook of "HighErrorRate" should exist with every required section
    And alert "AvailabilitySlowBurn" should be firing within 2 hours 10 minutes with
      | severity | warning |
      | window   | 1d      |
    And alert "AvailabilitySlowBurn" should fire within 15 seconds of its earliest moment
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "AvailabilityLeak" should be firing within 3 hours 30 minutes with
      | severity | warning |
      | window   | 3d      |
    And alert "AvailabilityLeak" should fire within 15 seconds of its earliest moment
    And alert "AvailabilityBurn" should be firing within 3 hours 50 minutes with
      | severity | critical |
      | window   | 6h       |
    And alert "AvailabilityBurn" should fire within 15 seconds of its earliest moment
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the burn rate of "frontend-availability" over 6h should exceed 6
    And the burn rate of "frontend-availability" over 1h should stay below 14.4
    And alert "AvailabilitySlowBurn" should be inhibited by "AvailabilityBurn"
    And the runbook of "AvailabilityBurn" should exist with every required section
    When fault "one-in-twenty-fails" is cleared
    Then alert "HighErrorRate" should resolve within 6 minutes
    And alert "AvailabilityBurn" should resolve within 31 minutes
    And no other alert should have fired

  Scenario: one request in ten is slow for hours
    When fault "one-in-ten-is-slow" is injected
    Then alert "HighLatencyP95" should be firing within 22 minutes with
      | severity | warning  |
      | service  | frontend |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the runbook of "HighLatencyP95" should exist with every required section
    And alert "LatencySlowBurn" should be firing within 2 hours 10 minutes with
      | severity | warning |
      | window   | 1d      |
    And alert "LatencySlowBurn" should fire within 15 seconds of its earliest moment
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "LatencyLeak" should be firing within 3 hours 30 minutes with
      | severity | warning |
      | window   | 3d      |
    And alert "LatencyLeak" should fire within 15 seconds of its earliest moment
    And alert "LatencyBurn" should be firing within 3 hours 50 minutes with
      | severity | critical |
      | window   | 6h       |
    And alert "LatencyBurn" should fire within 15 seconds of its earliest moment
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "LatencySlowBurn" should be inhibited by "LatencyBurn"
    When fault "one-in-ten-is-slow" is cleared
    Then alert "HighLatencyP95" should resolve within 6 minutes
    And alert "LatencyBurn" should resolve within 31 minutes
    And no other alert should have fired
