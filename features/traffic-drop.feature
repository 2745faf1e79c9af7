Feature: Traffic drop

  What nobody asks for does not fail. When nine of ten users cannot find the way any more, every indicator of errors and latency is
  perfect; the alert that compares the traffic with its own last hour must say so.

  The times are arithmetic: after an hour at 4 requests a second, x minutes at 0.4 leave (4 * (5 - x) + 0.4 * x) / 5 requests a
  second over 5 minutes and nearly (4 * (60 - x) + 0.4 * x) / 60 over the hour; a quarter of the latter is passed after 4.26 minutes,
  and the alert holds for 10. A night's ebb to half of the traffic stays far away from a quarter.

  Background:
    Given the game day "traffic-drop"
    And load of 4 req/s
    And the stack is quiet for 1 hour

  Scenario: nine of ten users are gone, and nothing fails
    When load changes to 0.4 req/s
    Then alert "TrafficDropped" should become pending within 5 minutes
    And alert "TrafficDropped" should be firing within 15 minutes with
      | severity | warning  |
      | service  | frontend |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the runbook of "TrafficDropped" should exist with every required section
    And the burn rate of "availability" over 5m should stay below 1
    When load changes to 4 req/s
    Then alert "TrafficDropped" should resolve within 3 minutes
    And receiver "slack" should be told that it is resolved
    And no other alert should have fired

  Scenario: the ebb of a night is no drop
    When load changes to 2 req/s
    Then alert "TrafficDropped" should not fire for 1 hour
    And no alert should have fired
