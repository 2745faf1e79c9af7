Feature: Published rules

  Alert rules are printed, copied and never tried. These are printed in articles; each step says what the rule does, which is not
  what it is for. features/corrected-rules.feature plays the same system with the rules corrected.

  The arithmetic: probe_success is a gauge that is 1 on a healthy system, so its rate() is 0 and 1 - 0 / 4 = 1 is always over
  14.4 * 0.005; the alerts fire when their `for` is over, 2 and 15 minutes after the second scrape, and never resolve. And
  clamp_min(..., 1) divides 0.2 requests a second, of which half fail at the door (0.1 errors/s; those that pass are counted by two
  services more: 0.2 + 0.1 + 0.1 = 0.4 requests/s in all), by 1: 0.1 is not over 0.144, whatever the users see.

  Scenario: a healthy system burns its budget for ever
    Given the game day "published-rules"
    When 1 minute passes
    Then the query 'probe_success' should exceed 0 within 1 minute
    And the query 'sum(rate(probe_success{job="blackbox-http"}[1h]))' should fall below 0.001 within 1 minute
    And alert "ProbeFastBurn" should be firing within 3 minutes with
      | severity | critical |
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "ProbeSlowBurn" should be firing within 17 minutes with
      | severity | warning |
    When 6 hours pass
    Then the query 'min_over_time(probe_success[6h])' should exceed 0 within 1 minute
    And the query 'ALERTS{alertname="ProbeFastBurn", alertstate="firing"}' should exceed 0 within 1 minute
    And the query 'ALERTS{alertname="ProbeSlowBurn", alertstate="firing"}' should exceed 0 within 1 minute
    And no other alert should have fired

  Scenario: half of the requests fail at low traffic, and nobody is told
    Given the game day "published-rules"
    When 30 minutes pass
    And fault "half-fails" is injected
    Then alert "FastBurnRate" should not fire for 1 hour
    And the query 'sum(rate(http_requests_total{service="frontend", status_code=~"5.."}[1h])) / sum(rate(http_requests_total{service="frontend"}[1h]))' should exceed 0.4 within 1 minute
    And receiver "incident-log" should not be notified of alert "FastBurnRate"
    When fault "half-fails" is cleared
    Then no other alert should have fired

  Scenario: the service is down, and the rule that should tell cannot say more than it always says
    Given the game day "published-rules"
    When 30 minutes pass
    Then the query '1 - sum(rate(probe_success{job="blackbox-http"}[1h])) / count(probe_success{job="blackbox-http"})' should exceed 0.99 within 1 minute
    When service "frontend" crashes
    And 10 minutes pass
    Then the query 'probe_success{instance="frontend"}' should fall below 1 within 1 minute
    And alert "FastBurnRate" should not fire for 20 minutes
    And receiver "incident-log" should not be notified of alert "FastBurnRate"
    When service "frontend" is restarted
    Then the query 'probe_success' should exceed 0 within 1 minute
