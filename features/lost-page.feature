Feature: Lost page

  A page that is not delivered wakes nobody. Alertmanager tries again after 429, 5xx and broken connections, with pauses that grow by
  half (0.5 s, 0.75 s, ... up to a minute), until the next flush of the group is due; then the next flush begins anew.

  The times are arithmetic: ServiceDown holds for 2 minutes after the first failed scrape, up to 15 seconds after the crash; the first
  attempt is made 30 seconds after it fires (group_wait), the next flush is 5 minutes later (group_interval).

  Background:
    Given the game day "lost-page"
    And the stack is quiet for 5 minutes

  Scenario: Slack answers with errors, and the page arrives when it is well again
    When fault "slack-errors" is injected
    And service "payments" crashes
    Then alert "ServiceDown" should be firing within 3 minutes with
      | severity | critical      |
      | instance | payments:8080 |
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And an attempt to notify receiver "slack" of it should fail within 1 minute
    And receiver "slack" should not be notified of it for 2 minutes
    When fault "slack-errors" is cleared
    Then receiver "slack" should be notified of it after at least 8 failed attempts within 5 minutes
    And receiver "slack" should have got 1 message
    When the page is acknowledged
    And service "payments" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration
    And no other alert should have fired

  Scenario: Slack asks for patience, and gets it
    When fault "slack-limits" is injected
    And service "payments" crashes
    Then alert "ServiceDown" should be firing within 3 minutes
    # One attempt a minute, as Retry-After says: three are refused, the fourth comes after the lease of the fault.
    And receiver "slack" should be notified of it after at least 3 failed attempts within 5 minutes
    And receiver "incident-log" should have got 1 message
    When service "payments" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration

  Scenario: Slack is gone for longer than one flush lasts
    When fault "slack-down" is injected
    And service "payments" crashes
    Then alert "ServiceDown" should be firing within 3 minutes
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And an attempt to notify receiver "slack" of it should fail within 1 minute
    # The first flush is given up after 5 minutes; the second one is under way when Slack comes back.
    And receiver "slack" should not be notified of it for 6 minutes
    When fault "slack-down" is cleared
    Then receiver "slack" should be notified of it after at least 15 failed attempts within 10 minutes
    And receiver "slack" should have got 1 message
    When service "payments" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration

  Scenario: Slack is slow, and nobody else waits for it
    When fault "slack-slow" is injected
    And service "payments" crashes
    Then alert "ServiceDown" should be firing within 3 minutes
    And receiver "incident-log" should be notified of it once within 31 seconds, with its value, dashboard and runbook
    And receiver "slack" should not be notified of alert "ServiceDown"
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    When fault "slack-slow" is cleared
    And service "payments" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration
