-- Remove all keys of Khabar, atomically: a worker that counts meanwhile must find all of them or none.
-- Returns how many there were.
return clear()
