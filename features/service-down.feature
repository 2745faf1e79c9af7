Feature: Service down

  A service that is down must be told of once: the alerts about processor, memory, disk and latency of its machine are explained by
  it and held back, so that one message is sent and not five.

  The times are arithmetic: the probe fails at the next scrape (up to 15 seconds, and 5 for its own limit), ServiceDown holds for
  2 minutes. The symptoms hold for 5 minutes, the processor after 4.3 more for its mean over 5 minutes (5 * (80 - 4) / (92 - 4)), so
  ServiceDown is there before all of them.

  Scenario: a service hangs, and its machine is in trouble
    Given the game day "service-down"
    And the stack is quiet for 10 minutes
    When fault "busy-cpu" is injected
    And fault "full-memory" is injected
    And fault "full-disk" is injected
    And fault "stuck" is injected
    Then the query 'probe_success{instance="checkout"}' should fall below 1 within 30 seconds
    And alert "ServiceDown" should be firing within 3 minutes with
      | severity | critical |
      | instance | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the runbook of "ServiceDown" should exist with every required section
    And alert "HighMemoryWarning" should be firing within 6 minutes
    And alert "HighDiskWarning" should be firing within 6 minutes
    And alert "HighLatencyProbe" should be firing within 6 minutes
    And alert "HighCPUWarning" should be firing within 11 minutes
    When 5 minutes pass
    Then alert "HighCPUWarning" should be inhibited by "ServiceDown"
    And alert "HighMemoryWarning" should be inhibited by "ServiceDown"
    And alert "HighDiskWarning" should be inhibited by "ServiceDown"
    And alert "HighLatencyProbe" should be inhibited by "ServiceDown"
    And receiver "slack" should have got 1 message
    And receiver "incident-log" should have got 1 message
    # The machine recovers first: were the service back before, what is left of its symptoms would be news.
    When fault "busy-cpu" is cleared
    And fault "full-memory" is cleared
    And fault "full-disk" is cleared
    Then alert "HighMemoryWarning" should resolve within 1 minute
    And alert "HighDiskWarning" should resolve within 1 minute
    And alert "HighCPUWarning" should resolve within 2 minutes
    And alert "ServiceDown" should be firing within 2 minutes
    When fault "stuck" is cleared
    Then alert "ServiceDown" should resolve within 1 minute
    And alert "HighLatencyProbe" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration
    And receiver "slack" should have got 2 messages
    And receiver "slack" should not be notified of alert "HighCPUWarning"
    And receiver "slack" should not be notified of alert "HighMemoryWarning"
    And receiver "slack" should not be notified of alert "HighDiskWarning"
    And no other alert should have fired

  Scenario: a service crashes and is restarted
    Given the game day "service-down"
    And the stack is quiet for 10 minutes
    When service "checkout" crashes
    Then the query 'probe_success{instance="checkout"}' should fall below 1 within 30 seconds
    And alert "ServiceDown" should be firing within 3 minutes with
      | severity | critical |
      | instance | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the query 'up{job="node", instance="checkout"}' should exceed 0 within 15 seconds
    When the page is acknowledged
    And service "checkout" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration
    And the query 'probe_success' should exceed 0 within 15 seconds
    And receiver "slack" should have got 2 messages
    And no other alert should have fired
