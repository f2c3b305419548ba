-- Prepare the store for a log. ARGV[1]: the log; ARGV[2]: now (ms since 1970); ARGV[3]: '1' when its records are not those
-- that were counted, so that all must be counted again. Returns why the store was emptied, or false.
return adopt(ARGV[1], ARGV[2], ARGV[3] == '1')
